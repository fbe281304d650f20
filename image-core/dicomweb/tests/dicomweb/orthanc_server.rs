//! Orthanc with its DICOMweb plugin: each has its own port and folder, dies with the test, and can be killed.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to start.
const START: Duration = Duration::from_secs(30);
/// Where Debian and others put the plugin.
const PLUGINS: [&str; 2] = [
    "/usr/share/orthanc/plugins/libOrthancDicomWeb.so",
    "/usr/local/share/orthanc/plugins/libOrthancDicomWeb.so",
];

/// The program and its plugin; `None`, with a word about it, if they are not installed: then the test is left out, unless
/// `NEPHRITE_ORTHANC` is set.
pub(crate) fn programs() -> Option<(PathBuf, PathBuf)> {
    let demanded = std::env::var_os("NEPHRITE_ORTHANC").map(PathBuf::from);
    let program = demanded.clone().or_else(|| {
        let usual = ["/usr/sbin/Orthanc", "/usr/bin/Orthanc", "/usr/local/sbin/Orthanc"];
        usual.into_iter().map(PathBuf::from).find(|path| path.is_file())
    });
    let plugin = PLUGINS.into_iter().map(PathBuf::from).find(|path| path.is_file());
    let found = program.filter(|path| path.is_file()).zip(plugin);
    assert!(
        found.is_some() || demanded.is_none(),
        "NEPHRITE_ORTHANC is set, and Orthanc or its DICOMweb plugin is not there"
    );
    if found.is_none() {
        println!(
            "left out: no Orthanc; get it with `apt-get install orthanc orthanc-dicomweb`, or set NEPHRITE_ORTHANC"
        );
    }
    found
}

/// A server.
pub(crate) struct Orthanc {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Orthanc {
    pub(crate) fn start((program, plugin): &(PathBuf, PathBuf)) -> Orthanc {
        let folder = tempfile::Builder::new().prefix("orthanc-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let store = folder.path().join("store");
        let config = format!(
            r#"{{"Name": "test", "StorageDirectory": {store:?}, "IndexDirectory": {store:?}, "HttpPort": {port},
            "RemoteAccessAllowed": false, "DicomServerEnabled": false, "AuthenticationEnabled": true,
            "RegisteredUsers": {{"me": "secret"}}, "Plugins": [{plugin:?}],
            "DicomWeb": {{"Enable": true, "Root": "/dicom-web/"}}}}"#
        );
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let mut server = Orthanc {
            program: program.clone(),
            folder,
            port,
            child: None,
        };
        server.restart();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/dicom-web", self.port)
    }

    /// A file with the user and password.
    pub(crate) fn basic_file(&self) -> PathBuf {
        let path = self.folder.path().join("basic");
        std::fs::write(&path, "me:secret\n").unwrap();
        path
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it on the same port and folder.
    pub(crate) fn restart(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(&self.program)
            .arg(self.folder.path().join("config.json"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < START,
                "Orthanc does not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("Orthanc:\n{}", &log[log.len().saturating_sub(2000)..]);
        }
    }
}
