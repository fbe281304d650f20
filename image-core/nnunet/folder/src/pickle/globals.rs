//! Which Python names a pickle may call, and what calling them means here.
//!
//! Three classes:
//! * *known*: what `torch.save` of a trainer's state needs (see [`Global`]); calls are evaluated to inert values.
//! * *forbidden*: everything of Python's own standard library (`os`, `posix`, `subprocess`, `builtins`, `importlib` …)
//!   except plain data types. No checkpoint has a reason to call these and attacks are built from them, so a call is
//!   an error that names the function. Merely naming one is harmless.
//! * *inert*: all other names, for example a class of a researcher's own trainer. Nothing is executed for them either;
//!   the result is a placeholder, and only who needs that very value gets an error.

use super::storage_type::StorageType;

/// A Python name, by what calling it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(StorageType),
    TorchSize,
    NumpyScalar,
    NumpyArray,
    NumpyDtype,
    CodecsEncode,
    Inert,
    Forbidden,
}

/// Data types of the standard library: calling them makes a value and nothing else.
const DATA_TYPES: &[(&str, &str)] = &[
    ("__builtin__", "bytearray"),
    ("__builtin__", "complex"),
    ("__builtin__", "frozenset"),
    ("__builtin__", "object"),
    ("__builtin__", "range"),
    ("__builtin__", "set"),
    ("__builtin__", "slice"),
    ("__builtin__", "xrange"),
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("builtins", "frozenset"),
    ("builtins", "object"),
    ("builtins", "range"),
    ("builtins", "set"),
    ("builtins", "slice"),
    ("argparse", "Namespace"),
    ("collections", "Counter"),
    ("collections", "defaultdict"),
    ("collections", "deque"),
    ("copy_reg", "_reconstructor"),
    ("copyreg", "_reconstructor"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("pathlib", "Path"),
    ("pathlib", "PosixPath"),
    ("pathlib", "PurePath"),
    ("pathlib", "PurePosixPath"),
    ("pathlib", "PureWindowsPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib._local", "PosixPath"),
    ("pathlib._local", "WindowsPath"),
    ("types", "SimpleNamespace"),
    ("uuid", "UUID"),
];

impl Global {
    pub(crate) fn of(module: &str, name: &str) -> Global {
        match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "Size") => Global::TorchSize,
            ("torch", name) if name.ends_with("Storage") => {
                storage_type(name).map_or(Global::Inert, Global::Storage)
            }
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::NumpyScalar,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::NumpyArray,
            ("numpy", "dtype") => Global::NumpyDtype,
            ("_codecs", "encode") => Global::CodecsEncode,
            _ if DATA_TYPES.contains(&(module, name)) => Global::Inert,
            _ if is_standard_library(module) => Global::Forbidden,
            _ => Global::Inert,
        }
    }
}

fn storage_type(name: &str) -> Option<StorageType> {
    Some(match name {
        "FloatStorage" => StorageType::F32,
        "HalfStorage" => StorageType::F16,
        "BFloat16Storage" => StorageType::BF16,
        "DoubleStorage" => StorageType::F64,
        "LongStorage" => StorageType::I64,
        "IntStorage" => StorageType::I32,
        "ShortStorage" => StorageType::I16,
        "CharStorage" => StorageType::I8,
        "ByteStorage" => StorageType::U8,
        "BoolStorage" => StorageType::Bool,
        _ => return None,
    })
}

fn is_standard_library(module: &str) -> bool {
    let root = module.split('.').next().unwrap_or(module);
    STANDARD_LIBRARY.binary_search(&root).is_ok()
}

/// Top-level modules of CPython 3.8 to 3.14 (`sys.stdlib_module_names`), and of Python 2 where a pickle of protocol 2
/// names them so. Sorted.
#[rustfmt::skip] // one name a line would fill pages
const STANDARD_LIBRARY: &[&str] = &[
    "ConfigParser", "Queue", "SocketServer", "StringIO", "__builtin__", "__future__", "_abc",
    "_aix_support", "_android_support", "_apple_support", "_ast", "_asyncio", "_bisect", "_blake2",
    "_bootlocale", "_bootsubprocess", "_bz2", "_codecs", "_codecs_cn", "_codecs_hk", "_codecs_iso2022",
    "_codecs_jp", "_codecs_kr", "_codecs_tw", "_collections", "_collections_abc", "_colorize",
    "_compat_pickle", "_compression", "_contextvars", "_crypt", "_csv", "_ctypes", "_curses",
    "_curses_panel", "_datetime", "_dbm", "_decimal", "_elementtree", "_frozen_importlib",
    "_frozen_importlib_external", "_functools", "_gdbm", "_hashlib", "_heapq", "_hmac", "_imp",
    "_interpchannels", "_interpqueues", "_interpreters", "_io", "_ios_support", "_json", "_locale",
    "_lsprof", "_lzma", "_markupbase", "_md5", "_msi", "_multibytecodec", "_multiprocessing", "_opcode",
    "_operator", "_osx_support", "_overlapped", "_pickle", "_posixshmem", "_posixsubprocess", "_py_abc",
    "_pydecimal", "_pyio", "_pyrepl", "_queue", "_random", "_remote_debugging", "_scproxy", "_sha1",
    "_sha2", "_sha256", "_sha3", "_sha512", "_signal", "_sitebuiltins", "_socket", "_sqlite3", "_sre",
    "_ssl", "_stat", "_statistics", "_string", "_strptime", "_struct", "_suggestions", "_symtable",
    "_thread", "_threading_local", "_tkinter", "_tokenize", "_tracemalloc", "_typing", "_uuid", "_warnings",
    "_weakref", "_weakrefset", "_winapi", "_zoneinfo", "_zstd", "abc", "aifc", "annotationlib",
    "antigravity", "anydbm", "argparse", "array", "ast", "asynchat", "asyncio", "asyncore", "atexit",
    "audioop", "base64", "bdb", "binascii", "binhex", "bisect", "builtins", "bz2", "cPickle", "cProfile",
    "cStringIO", "calendar", "cgi", "cgitb", "chunk", "cmath", "cmd", "code", "codecs", "codeop",
    "collections", "colorsys", "commands", "compileall", "compression", "concurrent", "configparser",
    "contextlib", "contextvars", "copy", "copy_reg", "copyreg", "crypt", "csv", "ctypes", "curses",
    "dataclasses", "datetime", "dbm", "decimal", "difflib", "dis", "distutils", "doctest",
    "dummy_threading", "email", "encodings", "ensurepip", "enum", "errno", "exceptions", "faulthandler",
    "fcntl", "filecmp", "fileinput", "fnmatch", "formatter", "fractions", "ftplib", "functools", "gc",
    "genericpath", "getopt", "getpass", "gettext", "glob", "graphlib", "grp", "gzip", "hashlib", "heapq",
    "hmac", "html", "http", "idlelib", "imaplib", "imghdr", "imp", "importlib", "inspect", "io",
    "ipaddress", "itertools", "json", "keyword", "lib2to3", "linecache", "locale", "logging", "lzma",
    "macpath", "mailbox", "mailcap", "marshal", "math", "mimetypes", "mmap", "modulefinder", "msilib",
    "msvcrt", "multiprocessing", "netrc", "nis", "nntplib", "nt", "ntpath", "nturl2path", "numbers",
    "opcode", "operator", "optparse", "os", "ossaudiodev", "parser", "pathlib", "pdb", "pickle",
    "pickletools", "pipes", "pkgutil", "platform", "plistlib", "popen2", "poplib", "posix", "posixpath",
    "pprint", "profile", "pstats", "pty", "pwd", "py_compile", "pyclbr", "pydoc", "pydoc_data", "pyexpat",
    "queue", "quopri", "random", "re", "readline", "reprlib", "resource", "rlcompleter", "runpy", "sched",
    "secrets", "select", "selectors", "shelve", "shlex", "shutil", "signal", "site", "smtpd", "smtplib",
    "sndhdr", "socket", "socketserver", "spwd", "sqlite3", "sre_compile", "sre_constants", "sre_parse",
    "ssl", "stat", "statistics", "string", "stringprep", "struct", "subprocess", "sunau", "symbol",
    "symtable", "sys", "sysconfig", "syslog", "tabnanny", "tarfile", "telnetlib", "tempfile", "termios",
    "textwrap", "this", "thread", "threading", "time", "timeit", "tkinter", "token", "tokenize", "tomllib",
    "trace", "traceback", "tracemalloc", "tty", "turtle", "turtledemo", "types", "typing", "unicodedata",
    "unittest", "urllib", "urllib2", "uu", "uuid", "venv", "warnings", "wave", "weakref", "webbrowser",
    "winreg", "winsound", "wsgiref", "xdrlib", "xml", "xmlrpc", "zipapp", "zipfile", "zipimport", "zlib",
    "zoneinfo",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_list_is_sorted() {
        assert!(STANDARD_LIBRARY.is_sorted());
    }

    #[test]
    fn names_fall_into_the_documented_classes() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("nt", "system"),
            ("os.path", "join"),
            ("builtins", "eval"),
            ("builtins", "getattr"),
            ("__builtin__", "eval"),
            ("subprocess", "Popen"),
            ("commands", "getoutput"),
            ("importlib", "import_module"),
            ("runpy", "run_path"),
            ("_pickle", "loads"),
            ("functools", "partial"),
            ("_codecs", "decode"),
            ("webbrowser", "open"),
            ("ctypes", "CDLL"),
        ] {
            assert_eq!(Global::of(module, name), Global::Forbidden, "{module}.{name}");
        }
        for (module, name) in [
            ("torch.optim.sgd", "SGD"),
            ("torch", "ComplexFloatStorage"),
            ("nnunetv2.x", "Trainer"),
            ("pathlib", "PosixPath"),
            ("builtins", "set"),
            ("mytrainer", "Options"),
        ] {
            assert_eq!(Global::of(module, name), Global::Inert, "{module}.{name}");
        }
        assert_eq!(
            Global::of("torch", "HalfStorage"),
            Global::Storage(StorageType::F16)
        );
        assert_eq!(Global::of("collections", "OrderedDict"), Global::OrderedDict);
    }
}
