"""What SimpleITK makes of NRRD and MetaImage files with ordinary and odd headers, into formats.json.

    pip install SimpleITK==2.5.7 numpy
    python make_formats.py

Every case is a whole file, most of 4 x 3 x 2 voxels, or a header (`.nhdr`, `.mhd`) with another file beside it. `formats.json` is a list of
`{name, ending, file, said}`, and `data_file` and `data` for what lies beside it: `file` and `data` have a character per byte, `said` is null where SimpleITK refuses the file, "crashes" where it takes the process down, else type, size, spacing, the three rows of the affine in RAS+ (four numbers each) and the
values, x fastest.
"""

import bz2
import gzip
import json
import math
import os
import pathlib
import tempfile
import zlib

import numpy as np
import SimpleITK as sitk

COS, SIN = math.cos(0.3), math.sin(0.3)
VALUES = np.arange(24) * 3 - 7
NRRD_TYPES = {
    "int8": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "unsigned int": "u4", "long long": "i8",
    "uint64_t": "u8", "float": "f4", "double": "f8", "signed char": "i1", "int16_t": "i2", "unsigned short int": "u2",
    "uint32": "u4", "longlong": "i8", "unsigned long long int": "u8", "signed short": "i2", "int32": "i4", "uint8_t": "u1",
}
META_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
NRRD = {
    "type": "short", "dimension": "3", "space": "left-posterior-superior", "space dimension": None, "sizes": "4 3 2",
    "space directions": "(2,0,0) (0,3,0) (0,0,4)", "kinds": "domain domain domain", "endian": "little",
    "encoding": "raw", "space origin": "(5,6,7)",
}
META = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "5 6 7", "CenterOfRotation": "0 0 0",
    "AnatomicalOrientation": "RAI", "ElementSpacing": "2 3 4", "DimSize": "4 3 2", "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}


def voxels(kind, big=False, n=24):
    values = np.resize(VALUES, n).astype(f"{'>' if big else '<'}{kind}")
    if kind[0] == "f":
        values = (values / 8).astype(values.dtype)
    return values.tobytes()


def text(fields, changes, sep, first=None):
    """The header: a change to None drops a field, other changes replace or append one."""
    fields = {**fields, **changes}
    lines = [f"{key}{sep}{value}" for key, value in fields.items() if value is not None]
    if first:
        lines.insert(0, first)
    return "\n".join(lines) + "\n"


def nrrd(changes=(), data=None, magic="NRRD0004", extra="", newline="\n"):
    header = text(NRRD, dict(changes), ": ", magic) + extra + "\n"
    return header.replace("\n", newline).encode() + (voxels("i2") if data is None else data)


def meta(changes=(), data=None, extra=""):
    changes = dict(changes)
    header = text({**META, **changes, "ElementDataFile": None}, {}, " = ") + extra
    local = changes.get("ElementDataFile", META["ElementDataFile"])
    if local is not None:
        header += f"ElementDataFile = {local}\n"
    return header.encode() + (voxels("i2") if data is None else data)


def nrrd_cases():
    for name, kind in NRRD_TYPES.items():
        for big in (False, True):
            end = "big" if big else "little"
            yield f"type {name} {end}", nrrd({"type": name, "endian": end}, voxels(kind, big))
    yield "type block", nrrd({"type": "block", "block size": "2"})
    yield "type half", nrrd({"type": "half"})
    yield "no endian, bytes", nrrd({"type": "uchar", "endian": None}, voxels("u1"))
    yield "no endian, shorts", nrrd({"endian": None})
    packed = gzip.compress(voxels("i2"), mtime=0)
    for encoding in ("gzip", "gz"):
        yield encoding, nrrd({"encoding": encoding}, packed)
    yield "gzip cut", nrrd({"encoding": "gzip"}, packed[:-20])
    yield "gzip without its checksum", nrrd({"encoding": "gzip"}, packed[:-8])
    yield "gzip with a wrong checksum", nrrd({"encoding": "gzip"}, packed[:-8] + b"abcdefgh")
    yield "gzip of too little", nrrd({"encoding": "gzip"}, gzip.compress(voxels("i2")[:-1], mtime=0))
    yield "gzip of too much", nrrd({"encoding": "gzip"}, gzip.compress(voxels("i2") + b"more", mtime=0))
    yield "gzip, two members", nrrd(
        {"encoding": "gzip"}, gzip.compress(voxels("i2")[:20], mtime=0) + gzip.compress(voxels("i2")[20:], mtime=0)
    )
    yield "gzip, byte skip", nrrd({"encoding": "gzip", "byte skip": "3"}, gzip.compress(b"abc" + voxels("i2"), mtime=0))
    yield "gzip, byte skip -1", nrrd({"encoding": "gzip", "byte skip": "-1"}, gzip.compress(b"abc" + voxels("i2"), mtime=0))
    yield "gzip that is raw", nrrd({"encoding": "gzip"})
    yield "bzip2", nrrd({"encoding": "bzip2"}, bz2.compress(voxels("i2")))
    yield "ascii", nrrd({"encoding": "ascii"}, " ".join(map(str, VALUES)).encode())
    yield "hex", nrrd({"encoding": "hex"}, voxels("i2").hex().encode())
    yield "encoding unknown", nrrd({"encoding": "zstd"})
    yield "no encoding", nrrd({"encoding": None})
    yield "raw, cut", nrrd({}, voxels("i2")[:-1])
    yield "raw, more", nrrd({}, voxels("i2") + b"more")
    yield "byte skip", nrrd({"byte skip": "3"}, b"abc" + voxels("i2"))
    yield "byte skip -1", nrrd({"byte skip": "-1"}, b"abc" + voxels("i2"))
    yield "byte skip -2", nrrd({"byte skip": "-2"}, b"abc" + voxels("i2"))
    yield "byteskip", nrrd({"byteskip": "3"}, b"abc" + voxels("i2"))
    yield "line skip", nrrd({"line skip": "2"}, b"abc\nde\n" + voxels("i2"))
    yield "line skip and byte skip", nrrd({"line skip": "1", "byte skip": "2"}, b"abc\nde" + voxels("i2"))
    yield "gzip, line skip", nrrd({"encoding": "gzip", "line skip": "1"}, b"abc\n" + packed)
    yield "CRLF", nrrd(newline="\r\n")
    for version in range(8):
        yield f"version {version}", nrrd(magic=f"NRRD000{version}")
    yield "version X", nrrd(magic="NRRD00.01")
    for space in (
        "right-anterior-superior", "RAS", "left-anterior-superior", "LAS", "LPS", "scanner-xyz",
        "right-anterior-superior-time", "RAST", "3D-right-handed", "3D-left-handed", "Left-Posterior-Superior",
        "right-posterior-inferior",
    ):
        yield f"space {space}", nrrd({"space": space})
    yield "no space", nrrd({"space": None})
    yield "no space, no directions", nrrd({"space": None, "space directions": None, "space origin": None})
    yield "space alone", nrrd({"space directions": None, "space origin": None})
    yield "space, no origin", nrrd({"space origin": None})
    yield "space, origin only", nrrd({"space directions": None})
    yield "space dimension", nrrd({"space": None, "space dimension": "3"})
    yield "space and its dimension", nrrd({"space dimension": "3"})
    for space in ("RAS", "LAS"):
        yield f"{space}, origin only", nrrd({"space": space, "space directions": None})
    yield "space dimension 4", nrrd({"space": None, "space dimension": "4"})
    yield "space dimension after", text_after()
    bare = {"space": None, "space directions": None, "space origin": None}
    yield "spacings", nrrd({**bare, "spacings": "2 3 4"})
    yield "spacings nan", nrrd({**bare, "spacings": "2 3 nan"})
    yield "spacings negative", nrrd({**bare, "spacings": "2 -3 4"})
    yield "spacings zero", nrrd({**bare, "spacings": "2 0 4"})
    yield "spacings and axis mins", nrrd({**bare, "spacings": "2 3 4", "axis mins": "5 6 7"})
    yield "spacings and axis mins, cells", nrrd(
        {**bare, "spacings": "2 3 4", "axis mins": "5 6 7", "centers": "cell cell cell"}
    )
    yield "spacings and axis mins, nodes", nrrd(
        {**bare, "spacings": "2 3 4", "axis mins": "5 6 7", "centers": "node node node"}
    )
    yield "axis mins and maxs", nrrd({**bare, "axis mins": "5 6 7", "axis maxs": "13 15 15"})
    yield "thicknesses", nrrd({**bare, "thicknesses": "2 3 4"})
    yield "spacings with space", nrrd({"space directions": None, "spacings": "2 3 4"})
    yield "spacings and directions", nrrd({"spacings": "2 3 4"})
    yield "oblique", nrrd({"space directions": f"({2*COS},{2*SIN},0) ({-3*SIN},{3*COS},0) (0,0,4)"})
    yield "oblique RAS", nrrd({"space": "RAS", "space directions": f"({2*COS},{2*SIN},0) ({-3*SIN},{3*COS},0) (0,0,4)"})
    yield "mirrored", nrrd({"space directions": "(2,0,0) (0,3,0) (0,0,-4)"})
    yield "permuted", nrrd({"space directions": "(0,2,0) (0,0,-3) (4,0,0)"})
    yield "sheared", nrrd({"space directions": "(2,0,0) (1,3,0) (0,0,4)"})
    yield "hardly sheared", nrrd({"space directions": "(2,0,0) (3e-5,3,0) (0,0,4)"})
    yield "flat", nrrd({"space directions": "(2,0,0) (0,3,0) (0,0,0)"})
    yield "parallel", nrrd({"space directions": "(2,0,0) (2,0,0) (0,0,4)"})
    yield "nan direction", nrrd({"space directions": "(2,0,0) (0,nan,0) (0,0,4)"})
    yield "nan vector", nrrd({"space directions": "(2,0,0) (0,3,0) (nan,nan,nan)"})
    yield "none direction", nrrd({"space directions": "(2,0,0) (0,3,0) none"})
    yield "inf direction", nrrd({"space directions": "(2,0,0) (0,inf,0) (0,0,4)"})
    yield "nan origin", nrrd({"space origin": "(5,nan,7)"})
    yield "origin none", nrrd({"space origin": "none"})
    yield "two directions", nrrd({"space directions": "(2,0,0) (0,3,0)"})
    yield "four directions", nrrd({"space directions": "(2,0,0) (0,3,0) (0,0,4) (1,1,1)"})
    yield "short vector", nrrd({"space directions": "(2,0) (0,3,0) (0,0,4)"})
    yield "vector with blanks", nrrd({"space directions": "( 2 , 0 , 0 )  (0, 3, 0) (0 ,0 ,4)"})
    yield "broken vector", nrrd({"space directions": "(2,0,0 (0,3,0) (0,0,4)"})
    yield "no blanks between vectors", nrrd({"space directions": "(2,0,0)(0,3,0)(0,0,4)"})
    yield "numbers with exponents", nrrd({"space directions": "(2e0,0,0) (0,+3.0,0) (0,0,.4E1)"})
    yield "space units", nrrd({"space units": '"mm" "mm" "mm"'})
    yield "space units um", nrrd({"space units": '"um" "um" "um"'})
    yield "units", nrrd({**bare, "spacings": "2 3 4", "units": '"cm" "cm" "cm"'})
    yield "measurement frame", nrrd({"measurement frame": "(0,1,0) (1,0,0) (0,0,1)"})
    yield "kinds space", nrrd({"kinds": "space space space"})
    yield "kinds none", nrrd({"kinds": "none none none"})
    yield "kinds ???", nrrd({"kinds": "??? ??? ???"})
    yield "no kinds", nrrd({"kinds": None})
    yield "kinds time", nrrd({"kinds": "domain domain time"})
    yield "kinds unknown", nrrd({"kinds": "domain domain nonsense"})
    yield "kinds two", nrrd({"kinds": "domain domain"})
    yield "kinds vector", nrrd({"kinds": "domain domain vector", "space directions": "(2,0,0) (0,3,0) none"})
    yield "kinds list", nrrd({**bare, "kinds": "list domain domain"})
    four = {"dimension": "4", "kinds": "vector domain domain domain", "space directions": "none (2,0,0) (0,3,0) (0,0,4)"}
    yield "vector of 2", nrrd({**four, "sizes": "2 4 3 2"}, voxels("i2", n=48))
    yield "vector of 1", nrrd({**four, "sizes": "1 4 3 2"})
    yield "list of 1", nrrd({**four, "kinds": "list domain domain domain", "sizes": "1 4 3 2"})
    yield "list of 2", nrrd({**four, "kinds": "list domain domain domain", "sizes": "2 4 3 2"}, voxels("i2", n=48))
    yield "scalar", nrrd({**four, "kinds": "scalar domain domain domain", "sizes": "1 4 3 2"})
    yield "stub", nrrd({**four, "kinds": "stub domain domain domain", "sizes": "1 4 3 2"})
    yield "complex", nrrd({**four, "kinds": "complex domain domain domain", "sizes": "2 4 3 2"}, voxels("i2", n=48))
    yield "color", nrrd({**four, "kinds": "RGB-color domain domain domain", "sizes": "3 4 3 2"}, voxels("i2", n=72))
    yield "vector last", nrrd(
        {**four, "kinds": "domain domain domain vector", "space directions": "(2,0,0) (0,3,0) (0,0,4) none", "sizes": "4 3 2 1"}
    )
    yield "four domains", nrrd({**bare, "dimension": "4", "kinds": "domain domain domain domain", "sizes": "4 3 2 1"})
    yield "four domains, many", nrrd(
        {**bare, "dimension": "4", "kinds": "domain domain domain domain", "sizes": "4 3 2 2"}, voxels("i2", n=48)
    )
    flat = {"dimension": "2", "sizes": "6 4", "kinds": "domain domain"}
    yield "two axes", nrrd({**bare, **flat})
    yield "two axes, two dimensions", nrrd(
        {**flat, "space": None, "space dimension": "2", "space directions": "(2,0) (0,3)", "space origin": "(5,6)"}
    )
    yield "two axes, LPS", nrrd({**flat, "space directions": "(2,0,0) (0,3,0)"})
    yield "one axis", nrrd({**bare, "dimension": "1", "sizes": "24", "kinds": "domain"})
    for sizes in ("4 3 0", "4 3 -2", "4 3", "4 3 2 1", "4 3 two", "4 3 2.5", "4,3,2", " 4\t3  2 ", "99999999999 99999999999 9"):
        yield f"sizes {sizes}", nrrd({"sizes": sizes})
    for dimension in ("0", "-1", "17", "x", "3.0", None):
        yield f"dimension {dimension}", nrrd({"dimension": dimension})
    for key in ("type", "sizes"):
        yield f"no {key}", nrrd({key: None})
    for key in ("content", "number", "min", "max", "old min", "oldmax", "sample units"):
        yield f"field {key}", nrrd({key: "24"})
    yield "field unknown", nrrd({"nonsense": "1"})
    yield "fields in another case", nrrd({"Type": "short", "type": None})
    yield "datafile of old", nrrd({"datafile": "other.raw"})
    yield "field twice", nrrd(extra="sizes: 4 3 2\n")
    yield "other field twice", nrrd(extra="content: a\ncontent: b\n")
    yield "line without a colon", nrrd(extra="nonsense\n")
    yield "no blank after the colon", nrrd({"type": None}, extra="type:short\n")
    yield "comments and key values", nrrd(extra="# a comment\na key:=a value: with colons\n#another\nb:=\n")
    yield "sizes before dimension", nrrd({"dimension": None}, extra="dimension: 3\n")
    yield "sizes first", before_dimension()
    yield "header without its end", b"NRRD0004\ntype: short\ndimension: 3\nsizes: 4 3 2\nencoding: raw\nendian: little\n"
    nans = np.array([1, np.nan, np.inf, -np.inf] * 6, "<f4")
    yield "floats that are not finite", nrrd({"type": "float"}, nans.tobytes())


def text_after():
    """Directions before the space that they lie in."""
    return nrrd({"space": None, "space directions": None}, extra="space directions: (2,0,0) (0,3,0) (0,0,4)\nspace: LPS\n")


def before_dimension():
    return b"NRRD0004\nsizes: 4 3 2\ndimension: 3\ntype: short\nencoding: raw\nendian: little\n\n" + voxels("i2")


def meta_cases():
    for name, kind in META_TYPES.items():
        for big in (False, True):
            yield f"type {name} {big}", meta(
                {"ElementType": name, "BinaryDataByteOrderMSB": str(big)}, voxels(kind, big)
            )
    for name in ("MET_STRING", "MET_OTHER", "MET_SHORT_ARRAY", "MET_NONE", "MET_ASCII_CHAR", "short", "met_short", ""):
        yield f"type {name}", meta({"ElementType": name})
    yield "no type", meta({"ElementType": None})
    packed = zlib.compress(voxels("i2"))
    squeezed = {"CompressedData": "True", "CompressedDataSize": str(len(packed))}
    yield "zlib", meta(squeezed, packed)
    yield "gzip", meta({**squeezed, "CompressedDataSize": str(len(gzip.compress(voxels("i2"), mtime=0)))}, gzip.compress(voxels("i2"), mtime=0))
    yield "zlib, no size", meta({"CompressedData": "True"}, packed)
    yield "zlib, size too small", meta({**squeezed, "CompressedDataSize": str(len(packed) - 9)}, packed)
    yield "zlib, size too large", meta({**squeezed, "CompressedDataSize": str(len(packed) + 9)}, packed)
    yield "zlib, size padded", meta({**squeezed, "CompressedDataSize": f"{len(packed):<12}"}, packed)
    yield "zlib, size with zeros", meta({**squeezed, "CompressedDataSize": f"{len(packed):012}"}, packed)
    yield "zlib, size nonsense", meta({**squeezed, "CompressedDataSize": "x"}, packed)
    yield "zlib cut", meta(squeezed, packed[:-20])
    yield "zlib with a wrong checksum", meta(squeezed, packed[:-4] + b"abcd")
    short = zlib.compress(voxels("i2")[:-2])
    yield "zlib of too little", meta({**squeezed, "CompressedDataSize": str(len(short))}, short)
    long = zlib.compress(voxels("i2") + b"more")
    yield "zlib of too much", meta({**squeezed, "CompressedDataSize": str(len(long))}, long)
    yield "zlib that is raw", meta(squeezed)
    yield "raw that says a size", meta({"CompressedDataSize": "9"})
    yield "raw, cut", meta({}, voxels("i2")[:-1])
    yield "raw, more", meta({}, voxels("i2") + b"more")
    yield "text", meta({"BinaryData": "False"}, " ".join(map(str, VALUES)).encode())
    yield "no BinaryData", meta({"BinaryData": None})
    yield "no byte order", meta({"BinaryDataByteOrderMSB": None})
    for value in ("true", "T", "1", "0", "False", "yes", "TRUE"):
        yield f"byte order {value}", meta({"BinaryDataByteOrderMSB": value})
        yield f"compressed {value}", meta({"CompressedData": value, "CompressedDataSize": str(len(packed))}, packed)
    yield "ElementByteOrderMSB", meta({"BinaryDataByteOrderMSB": None, "ElementByteOrderMSB": "True"}, voxels("i2", True))
    yield "both byte orders", meta({"ElementByteOrderMSB": "True"})
    for size in ("-1", "0", "3", "-2", "x"):
        yield f"HeaderSize {size}", meta({"HeaderSize": size}, b"abc" + voxels("i2"))
        yield f"HeaderSize {size}, nothing between", meta({"HeaderSize": size})
    oblique = f"{COS} {SIN} 0 {-SIN} {COS} 0 0 0 1"
    for key in ("TransformMatrix", "Orientation", "Rotation"):
        yield f"matrix {key}", meta({"TransformMatrix": None, key: oblique})
    for key in ("Offset", "Position", "Origin"):
        yield f"offset {key}", meta({"Offset": None, key: "1 2 3"})
    yield "two matrices", meta({"Rotation": "0 1 0 1 0 0 0 0 1"})
    yield "two offsets", meta({"Position": "1 2 3"})
    yield "two offsets, Origin", meta({"Origin": "1 2 3"})
    yield "no matrix", meta({"TransformMatrix": None})
    yield "no offset", meta({"Offset": None})
    yield "permuted", meta({"TransformMatrix": "0 1 0 0 0 -1 1 0 0"})
    yield "mirrored", meta({"TransformMatrix": "1 0 0 0 1 0 0 0 -1"})
    yield "sheared", meta({"TransformMatrix": "1 0 0 0.5 1 0 0 0 1"})
    yield "scaled", meta({"TransformMatrix": "2 0 0 0 3 0 0 0 4"})
    yield "singular", meta({"TransformMatrix": "1 0 0 1 0 0 0 0 1"})
    yield "zeros", meta({"TransformMatrix": "0 0 0 0 0 0 0 0 0"})
    yield "nan matrix", meta({"TransformMatrix": "1 0 0 0 nan 0 0 0 1"})
    yield "nan offset", meta({"Offset": "1 nan 3"})
    yield "short matrix", meta({"TransformMatrix": "1 0 0 0 1 0 0 0"})
    yield "short offset", meta({"Offset": "1 2"})
    yield "center of rotation", meta({"CenterOfRotation": "1 2 3", "TransformMatrix": "0 1 0 1 0 0 0 0 1"})
    yield "anatomical orientation", meta({"AnatomicalOrientation": "LPS"})
    yield "no anatomical orientation", meta({"AnatomicalOrientation": None})
    yield "no spacing", meta({"ElementSpacing": None})
    yield "element size", meta({"ElementSpacing": None, "ElementSize": "2 3 4"})
    yield "spacing and element size", meta({"ElementSize": "1 1 1"})
    yield "element size and spacing", meta({"ElementSpacing": None, "ElementSize": "1 1 1"}, extra="ElementSpacing = 2 3 4\n")
    for spacing in ("2 3 0", "2 3 -4", "2 3", "2 3 4 5", "2 3 nan", "2 3 inf", "2,3,4", "2 3 x", "2.5e0 3 .4"):
        yield f"spacing {spacing}", meta({"ElementSpacing": spacing})
    yield "units", meta({"DistanceUnits": "um"})
    for size in ("4 3 0", "4 3 -2", "4 3", "4 3 2 1", "4 3 x", "4 3 2.7", "99999999999 99999999999 9"):
        yield f"size {size}", meta({"DimSize": size})
    for dims in ("0", "-1", "11", "x", "3.0", None):
        yield f"NDims {dims}", meta({"NDims": dims})
    four = {"NDims": "4", "TransformMatrix": None, "Offset": None, "CenterOfRotation": None, "AnatomicalOrientation": None}
    yield "four axes of 1", meta({**four, "DimSize": "4 3 2 1", "ElementSpacing": "2 3 4 1"})
    yield "four axes", meta({**four, "DimSize": "4 3 2 2", "ElementSpacing": "2 3 4 1"}, voxels("i2", n=48))
    two = {"NDims": "2", "TransformMatrix": "0 1 -1 0", "Offset": "5 6", "CenterOfRotation": None, "AnatomicalOrientation": None}
    yield "two axes", meta({**two, "DimSize": "6 4", "ElementSpacing": "2 3"})
    one = {"NDims": "1", "TransformMatrix": "1", "Offset": "5", "CenterOfRotation": None, "AnatomicalOrientation": None}
    yield "one axis", meta({**one, "DimSize": "24", "ElementSpacing": "2"})
    yield "no size", meta({"DimSize": None})
    for n in ("1", "2", "0", "-1"):
        yield f"channels {n}", meta({"ElementNumberOfChannels": n}, voxels("i2", n=48))
    yield "intercept and slope", meta({"ElementToIntensityFunctionSlope": "2", "ElementToIntensityFunctionOffset": "5"})
    yield "min and max", meta({"ElementMin": "1", "ElementMax": "5"})
    yield "modality", meta({"Modality": "MET_MOD_CT", "Comment": "hello = there", "Name": "a b"})
    for kind in ("Tube", "image", None):
        yield f"object {kind}", meta({"ObjectType": kind})
    yield "unknown key", meta({"Nonsense": "1 2 3"})
    yield "no blanks around =", meta().replace(b" = ", b"=")
    yield "colon for =", meta().replace(b" = ", b": ")
    yield "tabs", meta().replace(b" = ", b"\t=\t")
    yield "CRLF", meta({}, b"").replace(b"\n", b"\r\n") + voxels("i2")
    yield "key twice", meta(extra="ElementSpacing = 1 1 1\n")
    yield "line without =", meta(extra="nonsense\n")
    yield "empty line", meta(extra="\n")
    yield "no ElementDataFile", meta({"ElementDataFile": None})
    yield "local in small letters", meta({"ElementDataFile": "local"})
    yield "Local", meta({"ElementDataFile": "Local"})
    yield "list", meta({"ElementDataFile": "LIST"})
    yield "pattern", meta({"ElementDataFile": "a.%03d.raw 1 2 1"})
    yield "keys after the data file", meta({"ElementDataFile": None}, b"", extra="ElementDataFile = LOCAL\nDimSize = 1 1 1\n") + voxels("i2")
    yield "data file first", b"ElementDataFile = LOCAL\n" + meta()
    nans = np.array([1, np.nan, np.inf, -np.inf] * 6, "<f4")
    yield "floats that are not finite", meta({"ElementType": "MET_FLOAT"}, nans.tobytes())


def detached_nrrd(changes=(), extra="", end="\n", data_file="a.raw"):
    named = {} if data_file is None else {"data file": data_file}
    return text(NRRD, {**dict(changes), **named}, ": ", "NRRD0005").encode() + extra.encode() + end.encode()


def detached_nrrd_cases():
    """Name, header, name of the other file, its content."""
    raw = voxels("i2")
    packed = gzip.compress(raw, mtime=0)
    yield "raw", detached_nrrd(), "a.raw", raw
    yield "no empty line at the end", detached_nrrd(end=""), "a.raw", raw
    yield "no end of the last line", detached_nrrd()[:-2], "a.raw", raw
    yield "text after the empty line", detached_nrrd() + b"more", "a.raw", raw
    yield "big endian", detached_nrrd({"endian": "big"}), "a.raw", voxels("i2", True)
    yield "gzip", detached_nrrd({"encoding": "gzip"}, data_file="a.raw.gz"), "a.raw.gz", packed
    yield "gzip that says raw", detached_nrrd(data_file="a.raw.gz"), "a.raw.gz", packed
    yield "gzip, cut", detached_nrrd({"encoding": "gzip"}, data_file="a.raw.gz"), "a.raw.gz", packed[:-20]
    yield "gzip, byte skip", detached_nrrd({"encoding": "gzip", "byte skip": "3"}), "a.raw", gzip.compress(b"abc" + raw, mtime=0)
    yield "gzip, line skip", detached_nrrd({"encoding": "gzip", "line skip": "1"}), "a.raw", b"abc\n" + packed
    yield "byte skip", detached_nrrd({"byte skip": "3"}), "a.raw", b"abc" + raw
    yield "byte skip -1", detached_nrrd({"byte skip": "-1"}), "a.raw", b"abc" + raw
    yield "line skip", detached_nrrd({"line skip": "2"}), "a.raw", b"abc\nde\n" + raw
    yield "line skip and byte skip", detached_nrrd({"line skip": "1", "byte skip": "2"}), "a.raw", b"abc\nde" + raw
    yield "short", detached_nrrd(), "a.raw", raw[:-1]
    yield "long", detached_nrrd(), "a.raw", raw + b"more"
    yield "empty", detached_nrrd(), "a.raw", b""
    yield "missing", detached_nrrd(), "b.raw", raw
    yield "datafile", detached_nrrd({"datafile": "a.raw"}, data_file=None), "a.raw", raw
    yield "data file in the middle", detached_nrrd({"type": None}, extra="type: short\n"), "a.raw", raw
    yield "key value after it", detached_nrrd(extra="a:=b\n", end=""), "a.raw", raw
    yield "with a dot", detached_nrrd(data_file="./a.raw"), "a.raw", raw
    yield "in a folder", detached_nrrd(data_file="b/a.raw"), "b/a.raw", raw
    yield "name with blanks", detached_nrrd(data_file="a b.raw"), "a b.raw", raw
    yield "blank after the name", detached_nrrd(data_file="a.raw "), "a.raw", raw
    yield "name with a percent sign", detached_nrrd(data_file="100%.raw"), "100%.raw", raw
    yield "pattern", detached_nrrd(data_file="a%d.raw 1 1 1"), "a1.raw", raw
    yield "list", detached_nrrd(data_file="LIST", end="a.raw\n"), "a.raw", raw
    yield "list of slices", detached_nrrd(data_file="LIST 2", end="a.raw\na.raw\n"), "a.raw", raw[:24]
    yield "above", detached_nrrd(data_file="b/../a.raw"), "b/../a.raw", raw
    yield "itself", detached_nrrd({"byte skip": "3"}, data_file="a.nhdr"), "a.raw", raw


def detached_meta(changes=(), data_file="a.raw", extra="", **rest):
    return meta({**dict(changes), "ElementDataFile": data_file}, b"", **rest) + extra.encode()


def detached_meta_cases():
    raw = voxels("i2")
    packed = zlib.compress(raw)
    squeezed = {"CompressedData": "True", "CompressedDataSize": str(len(packed))}
    yield "raw", detached_meta(), "a.raw", raw
    yield "no end of the last line", detached_meta()[:-1], "a.raw", raw
    yield "keys after it", detached_meta(extra="DimSize = 1 1 1\n"), "a.raw", raw
    yield "big endian", detached_meta({"BinaryDataByteOrderMSB": "True"}), "a.raw", voxels("i2", True)
    yield "zlib", detached_meta(squeezed, "a.zraw"), "a.zraw", packed
    yield "zlib, no size", detached_meta({"CompressedData": "True"}, "a.zraw"), "a.zraw", packed
    yield "zlib, no size, HeaderSize", detached_meta({"CompressedData": "True", "HeaderSize": "3"}, "a.zraw"), "a.zraw", b"abc" + packed
    yield "zlib, HeaderSize", detached_meta({**squeezed, "HeaderSize": "3"}, "a.zraw"), "a.zraw", b"abc" + packed
    yield "zlib, size 0", detached_meta({"CompressedData": "True", "CompressedDataSize": "0"}, "a.zraw"), "a.zraw", packed
    yield "zlib, size too large", detached_meta({**squeezed, "CompressedDataSize": "999"}, "a.zraw"), "a.zraw", packed
    yield "zlib, more", detached_meta(squeezed, "a.zraw"), "a.zraw", packed + b"more"
    yield "zlib, cut", detached_meta(squeezed, "a.zraw"), "a.zraw", packed[:-20]
    for size in ("0", "3", "-1", "-2", "x"):
        yield f"HeaderSize {size}", detached_meta({"HeaderSize": size}), "a.raw", b"abc" + raw
    yield "short", detached_meta(), "a.raw", raw[:-1]
    yield "long", detached_meta(), "a.raw", raw + b"more"
    yield "empty", detached_meta(), "a.raw", b""
    yield "missing", detached_meta(), "b.raw", raw
    yield "with a dot", detached_meta({}, "./a.raw"), "a.raw", raw
    yield "in a folder", detached_meta({}, "b/a.raw"), "b/a.raw", raw
    yield "name with blanks", detached_meta({}, "a b.raw"), "a b.raw", raw
    yield "blank after the name", detached_meta({}, "a.raw "), "a.raw", raw
    yield "name with a percent sign", detached_meta({}, "100%.raw"), "100%.raw", raw
    yield "pattern", detached_meta({}, "a%d.raw 1 2 1"), "a1.raw", raw
    yield "list", detached_meta({}, "LIST", extra="a.raw\na.raw\n"), "a.raw", raw[:24]
    yield "above", detached_meta({}, "b/../a.raw"), "b/../a.raw", raw
    yield "itself", detached_meta({"HeaderSize": "3"}, "a.mhd"), "a.raw", raw


def affine(image):
    n = image.GetDimension()
    rows = np.zeros((3, 4))
    steps = np.array(image.GetDirection()).reshape(n, n) * np.array(image.GetSpacing())
    rows[: min(n, 3), : min(n, 3)] = steps[:3, :3]
    rows[: min(n, 3), 3] = image.GetOrigin()[:3]
    rows[:2] *= -1  # LPS to RAS
    return rows


def plain(value):
    """JSON has no NaN."""
    value = value.item() if hasattr(value, "item") else value
    return value if math.isfinite(value) else str(value)


def said(path):
    """What SimpleITK says, in a process of its own: some headers make it crash."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(write, "w") as pipe:
            pipe.write(json.dumps(asked(path)))
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(answer) if status == 0 else "crashes"


def asked(path):
    try:
        image = sitk.ReadImage(str(path))
    except Exception:  # whatever the library raises on broken files
        return None
    array = sitk.GetArrayFromImage(image)
    numbers = [float(v) for v in affine(image).ravel()]
    return {
        "type": image.GetPixelIDTypeAsString(),
        "size": list(image.GetSize()),
        "spacing": [plain(v) for v in image.GetSpacing()],
        "affine": [plain(v + 0.0) for v in numbers],
        "values": [plain(v) for v in array.ravel()],
    }


def main():
    sitk.ProcessObject_SetGlobalWarningDisplay(False)
    cases = [("nrrd", name, file, None, None) for name, file in nrrd_cases()]
    cases += [("mha", name, file, None, None) for name, file in meta_cases()]
    cases += [("nhdr", *case) for case in detached_nrrd_cases()] + [("mhd", *case) for case in detached_meta_cases()]
    lines = []
    for ending, name, file, data_file, data in cases:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / f"a.{ending}"
            path.write_bytes(file)
            case = {"ending": ending, "name": name, "file": file.decode("latin-1")}
            if data_file is not None:
                (path.parent / "b").mkdir()
                (path.parent / data_file).write_bytes(data)
                case |= {"data_file": data_file, "data": data.decode("latin-1")}
            lines.append(json.dumps(case | {"said": said(path)}))
    target = pathlib.Path(__file__).with_name("formats.json")
    target.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
