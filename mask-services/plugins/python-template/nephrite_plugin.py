"""What every mask plugin in Python needs; `plugin.py` has what is yours.

`serve(operation, run)` turns a function into a MaskService with health, reflection, limits and a graceful end. Masks
arrive as `Mask`, inside the message or from a file; parameters are checked against the description; files beside the
masks go through `Artefacts`; `Refused` says no.
"""

import argparse
import csv
import fcntl
import gzip
import io
import json
import os
import re
import secrets
import signal
import stat
import threading
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import grpc
import nibabel
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from nephrite.v1 import mask_pb2 as pb
from nephrite.v1 import mask_pb2_grpc, mount_pb2, mount_pb2_grpc, segmentation_pb2
from scipy import ndimage

import decode as codec

MAX_INLINE_BYTES = 1 << 20  # of an encoded mask; larger ones travel as files
MAX_VOXELS = 1 << 29  # of one mask, which is a dense array here
SAME_GRID_VOXELS = 1e-3  # corners of two grids may lie this far apart: headers store 32-bit numbers
MAX_MESSAGE_BYTES = 16 << 20
MAX_STATUS_BYTES = 2048  # of the words of a refusal; clients bound the size of headers
MAX_INPUTS = 1024
MAX_TEXTS = MAX_TEXT_BYTES = 4096
MAX_ARTEFACT_NAME_BYTES = 200
CHECK_FILE, MAX_CHECK_BYTES = ".nephrite-check-", 64
PRESENT, NOT_FOUND = segmentation_pb2.LABEL_STATUS_PRESENT, segmentation_pb2.LABEL_STATUS_NOT_FOUND

CODES = {  # error codes of nephrite -> gRPC
    "invalid_argument": grpc.StatusCode.INVALID_ARGUMENT,
    "invalid_input": grpc.StatusCode.INVALID_ARGUMENT,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "limit_exceeded": grpc.StatusCode.OUT_OF_RANGE,
    "permission_denied": grpc.StatusCode.PERMISSION_DENIED,
    "environment": grpc.StatusCode.FAILED_PRECONDITION,
    "cancelled": grpc.StatusCode.CANCELLED,
    "deadline_exceeded": grpc.StatusCode.DEADLINE_EXCEEDED,
    "internal": grpc.StatusCode.INTERNAL,
}


class Refused(Exception):
    """The request cannot be served; `code` is a key of CODES."""

    def __init__(self, message, code="invalid_argument"):
        super().__init__(message)
        self.code = code


def refuse_if(wrong, message, code="invalid_input"):
    if wrong:
        raise Refused(message, code)


def refuse_request_if(wrong, message):
    refuse_if(wrong, message, "invalid_argument")


def known_are(names):
    """What there is instead of something unknown."""
    return f"known are {', '.join(names)}" if names else "there are none"


def quoted(text):
    """The beginning of a text that somebody sent."""
    return json.dumps(text[:64], ensure_ascii=False)


def unknown_label(parameter, name, known):
    return Refused(f"parameter {parameter} names label {quoted(name)}, {known_are(known)}")


@dataclass
class Mask:
    """A label map: ids [z, y, x], what they are called, and where the voxels lie."""

    ids: np.ndarray
    labels: dict  # id -> (name, status)
    spacing: tuple  # mm, (z, y, x)
    affine: np.ndarray  # voxel index (x, y, z, 1) -> world mm, RAS+; 4x4

    def named(self, names, parameter="labels"):
        """The ids of labels that a parameter names, each once, and all of them if it names none."""
        ids = {name: label for label, (name, _) in self.labels.items()}
        for name in names:
            if name not in ids:
                raise unknown_label(parameter, name, ids)
        return [ids[name] for name in dict.fromkeys(names)] or list(self.labels)

    def like(self, ids):
        """Other ids on the same grid, under the same names."""
        return Mask(ids, self.labels, self.spacing, self.affine)


def at_least(found, bound):
    """True if a length, area or volume is `bound` or more; headers round spacings to 32 bits, so never compare exactly."""
    return found >= bound * (1 - 1e-6)


# --- masks in messages


def label_table(labels):
    """{id: (name, status)}, sorted; refuses what no table may state."""
    for label in labels:
        name, size = label.name, len(label.name.encode())
        refuse_if(not 1 <= label.id <= 65535, f"label id {label.id} is not in 1 to 65535")
        refuse_if(not 1 <= size <= 256 or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name), "unusable label name")
        refuse_if(label.status not in (1, 2, 3, 4), f"label {label.id} has no status")
    refuse_if(len({label.id for label in labels}) < len(labels), "a label id occurs twice")
    refuse_if(len({label.name for label in labels}) < len(labels), "a label name occurs twice")
    return {label.id: (label.name, label.status) for label in sorted(labels, key=lambda label: label.id)}


def summaries(ids):
    """{id: (voxels, slices)} of the labels that occur."""
    counts = sum((np.bincount(plane.ravel(), minlength=65536) for plane in ids), np.zeros(65536, int))
    boxes = ndimage.find_objects(ids)
    return {int(label): (int(counts[label]), boxes[label - 1]) for label in counts[1:].nonzero()[0] + 1}


def corners(slices):
    return [s.start for s in slices] + [s.stop for s in slices] if slices else None


def box_corners(message, field="box"):
    if not message.HasField(field):
        return None
    box = getattr(message, field)
    return [box.z_start, box.y_start, box.x_start, box.z_end, box.y_end, box.x_end]


def voxel_box(slices, offset=(0, 0, 0)):
    (z, y, x), (oz, oy, ox) = slices, offset
    return pb.VoxelBox(
        x_start=x.start + ox, y_start=y.start + oy, z_start=z.start + oz,
        x_end=x.stop + ox, y_end=y.stop + oy, z_end=z.stop + oz,
    )  # fmt: skip


def check_grid(shape, spacing, affine):
    refuse_if(min(shape) < 1, f"shape {shape} (z, y, x) has an empty axis")
    refuse_if(np.prod(shape, dtype=object) > MAX_VOXELS, f"over {MAX_VOXELS} voxels", "limit_exceeded")
    refuse_if(not np.all(np.isfinite(spacing)) or min(spacing) <= 0, "spacing must be finite and positive")
    refuse_if(affine.shape != (4, 4) or not np.all(np.isfinite(affine)), "the affine is not 16 finite numbers")
    refuse_if(affine[3].tolist() != [0, 0, 0, 1], "the last row of the affine is not 0, 0, 0, 1")
    lengths = np.linalg.norm(affine[:3, :3], axis=0).prod()
    refuse_if(not abs(np.linalg.det(affine[:3, :3])) > 1e-9 * lengths, "the affine is singular")


def decode(message):
    """A Mask of an EncodedMask; everything that it states is checked, before anything is allocated by it."""
    shape, spacing = message.geometry.shape, message.geometry.spacing
    shape, spacing = (shape.z, shape.y, shape.x), (spacing.z, spacing.y, spacing.x)
    numbers = list(message.geometry.affine)
    affine = np.array(numbers if len(numbers) == 16 else [np.nan] * 16).reshape(4, 4)
    check_grid(shape, spacing, affine)
    refuse_if(message.encoding != pb.MASK_ENCODING_RUNS_DEFLATE, "unknown encoding")
    refuse_if(message.label_bytes not in (1, 2), "labels are neither 1 nor 2 bytes wide")
    table, bounds = label_table(message.labels), box_corners(message)
    if bounds is None:
        refuse_if(message.payload or message.n_runs, "a payload without a box")
        ids = np.zeros(shape, np.uint8)
    else:
        starts, ends = bounds[:3], bounds[3:]
        refuse_if(any(not s < e <= n for s, e, n in zip(starts, ends, shape)), "the box leaves the mask")
        try:
            ids = codec.decode(message, inflate(message, ends[0] - starts[0]))
        except (ValueError, IndexError) as error:
            raise Refused(f"corrupt payload: {error}", "invalid_input") from None
    found = summaries(ids)
    refuse_if(found.keys() - table.keys(), "a label is not in the table")
    for label in message.labels:
        voxels, slices = found.get(label.id, (0, None))
        stated = (label.voxels, box_corners(label))
        refuse_if(stated != (voxels, corners(slices)), f"label {label.id} is not what the table states")
    return Mask(ids, table, spacing, affine)


def inflate(message, n_planes):
    """The payload, inflated to what its runs can take and no further."""
    limit = 4 * n_planes + 2 * (message.n_runs // 8 + 1) + (5 + message.label_bytes) * message.n_runs
    refuse_if(limit > 4 * MAX_VOXELS, "too many runs", "limit_exceeded")
    inflater = zlib.decompressobj(-15)
    try:
        raw = inflater.decompress(message.payload, limit + 1)
    except zlib.error:
        raise Refused("the payload is no deflate stream", "invalid_input") from None
    refuse_if(len(raw) > limit, "the payload inflates past its runs")
    refuse_if(not inflater.eof or inflater.unused_data, "the payload is not one whole deflate stream")
    refuse_if(zlib.crc32(raw) != message.checksum, "the checksum is wrong")
    refuse_if(np.frombuffer(raw[: 4 * n_planes], "<u4").sum() != message.n_runs, "the planes hold another number of runs")
    return raw


def described_labels(mask, found, offset=(0, 0, 0)):
    """The label table for the wire; a label is present exactly if it has voxels."""
    voxel_ml = abs(float(np.linalg.det(np.asarray(mask.affine, float)[:3, :3]))) / 1000
    for label, (name, status) in sorted(mask.labels.items()):
        if label in found:
            voxels, slices = found[label]
            yield pb.MaskLabel(id=label, name=name, status=PRESENT, voxels=voxels, volume_ml=voxels * voxel_ml,
                               box=voxel_box(slices, offset))  # fmt: skip
        else:
            yield pb.MaskLabel(id=label, name=name, status=NOT_FOUND if status == PRESENT else status)


def encode(mask):
    """An EncodedMask: every boundary is new."""
    (nz, ny, nx), (sz, sy, sx) = mask.ids.shape, mask.spacing
    message = pb.EncodedMask(encoding=pb.MASK_ENCODING_RUNS_DEFLATE, label_bytes=1)
    message.geometry.shape.x, message.geometry.shape.y, message.geometry.shape.z = nx, ny, nz
    message.geometry.spacing.x, message.geometry.spacing.y, message.geometry.spacing.z = sx, sy, sz
    message.geometry.affine.extend(np.asarray(mask.affine, float).ravel().tolist())
    occupied = ndimage.find_objects((mask.ids > 0).view(np.uint8))
    if not occupied:
        message.labels.extend(described_labels(mask, {}))
        return message
    offset = tuple(s.start for s in occupied[0])
    inside = np.ascontiguousarray(mask.ids[occupied[0]])
    found = summaries(inside)
    message.box.CopyFrom(voxel_box(occupied[0]))
    message.label_bytes = 1 if max(found) < 256 else 2
    message.labels.extend(described_labels(mask, found, offset))
    planes = [np.flatnonzero(np.diff(plane.ravel(), prepend=plane.dtype.type(0))) for plane in inside]
    counts = np.array([len(at) for at in planes])
    labels = np.concatenate([plane.ravel()[at] for plane, at in zip(inside, planes)])
    moves = 2 * np.concatenate([np.diff(at, prepend=0) for at in planes])
    raw = b"".join(
        [
            counts.astype("<u4").tobytes(),
            np.packbits(np.ones(counts[:-1].sum(), np.uint8)).tobytes(),
            np.packbits(np.ones(len(moves), np.uint8)).tobytes(),
            labels.astype(f"<u{message.label_bytes}").tobytes(),
            np.minimum(moves, 255).astype(np.uint8).tobytes(),
            moves[moves >= 255].astype("<u4").tobytes(),
        ]
    )
    message.n_runs, message.checksum = len(moves), zlib.crc32(raw)
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    message.payload = deflater.compress(raw) + deflater.flush()
    return message


# --- masks in files


def grid_mm(header, affine, n_axes, path):
    """Affine and voxel lengths (z, y, x) of a label map in mm; refuses a header that says two lengths for one axis."""
    unit = {1: 1e3, 3: 1e-3}.get(int(header["xyzt_units"]) & 7, 1.0)
    affine, pixdim = np.array(affine, float), np.abs(np.asarray(header["pixdim"], float)[1:4])
    if n_axes == 2:  # one slice; many writers leave out what they do not know of its third axis
        thickness = pixdim[2] if np.isfinite(pixdim[2]) and pixdim[2] > 0 else 1 / unit
        normal, across = np.cross(affine[:3, 0], affine[:3, 1]), affine[:3, 2]
        area = np.linalg.norm(normal)
        if area > 0 and not abs(normal @ across) > 1e-6 * area * np.linalg.norm(across):
            affine[:3, 2] = normal / area * thickness
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    off = np.abs(pixdim - lengths)
    agrees = (off <= 1e-3 * lengths) | (pixdim == 0)
    refuse_if(not agrees[:n_axes].all(), f"{path}: pixdim {pixdim} contradicts the affine, {lengths} (x, y, z)")
    affine[:3] *= unit
    spacing = (pixdim if (off <= 1e-6 * lengths).all() else lengths) * unit
    return affine, tuple(float(mm) for mm in spacing[::-1])


def whole_numbers(values, path):
    """Label ids 0 to 65535; what was scaled or stored as floats may be a thousandth off."""
    refuse_if(values.dtype.kind not in "iuf", f"{path}: not a label map")
    nearest = values
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            nearest = np.rint(values)
            wrong = ~(np.abs(values - nearest) <= 1e-3)
        refuse_if(wrong.any(), f"{path}: {values[wrong][:1]} is no whole number")
    refuse_if(not (nearest.min() >= 0 and nearest.max() <= 65535), f"{path}: ids are not in 0 to 65535")
    return nearest.astype(np.uint8 if nearest.max() < 256 else np.uint16)


class Root:
    """Only what lies beneath one folder has a name. Checked on what was opened, so that no link leads out."""

    def __init__(self, folder):
        self.path = os.path.abspath(folder)
        self.names = [self.path, os.path.realpath(folder)]

    def _beneath(self, path):
        return any(path == name or path.startswith(name.rstrip("/") + "/") for name in self.names)

    def open(self, path, flags):
        refuse_if("\0" in path or len(path) > MAX_TEXT_BYTES, "unusable path", "invalid_argument")
        full = os.path.normpath(os.path.join(self.path, path))
        refuse_if(not self._beneath(full), f"{path}: leads out of the configured root", "permission_denied")
        try:
            handle = os.open(full, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except FileNotFoundError:
            raise Refused(f"{path}: no such file or folder", "not_found") from None
        except NotADirectoryError:
            raise Refused(f"{path}: not a folder", "invalid_input") from None
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}", "environment") from None
        if not self._beneath(os.readlink(f"/proc/self/fd/{handle}")):
            os.close(handle)
            raise Refused(f"{path}: leads out of the configured root", "permission_denied")
        return handle

    def open_writable_folder(self, path):
        handle = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=handle, effective_ids=True):
            os.close(handle)
            raise Refused(f"{path}: folder is not writable", "environment")
        return handle

    def open_file(self, path):
        """A regular file, for reading."""
        handle = self.open(path, os.O_RDONLY)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise Refused(f"{path}: not a regular file", "invalid_input")
        return os.fdopen(handle, "rb")

    def read_mask(self, path, table):
        """The label map of a NIfTI file; ids that `table` does not name are called label_<id>."""
        with self.open_file(path) as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if zipped else file
            try:
                size = int.from_bytes(stream.read(4), "little")
                stream.seek(0)
                kind = nibabel.Nifti2Image if size in (540, 0x1C020000) else nibabel.Nifti1Image
                image = kind.from_stream(stream)
                shape = tuple(image.shape)
                x, y, z = (shape + (1, 1))[:3]
                refuse_if(len(shape) < 2 or any(n != 1 for n in shape[3:]), f"{path}: not two or three axes")
                affine, spacing = grid_mm(image.header, image.affine, min(len(shape), 3), path)
                check_grid((z, y, x), spacing, affine)
                values = np.asanyarray(image.dataobj).reshape((x, y, z), order="F").T
            except (Refused, MemoryError):
                raise
            except Exception as error:  # of nibabel, gzip and zlib there are many
                raise Refused(f"{path}: {error}", "invalid_input") from None
        ids = whole_numbers(values, path)
        unnamed = (label for label in summaries(ids) if label not in table)
        labels = dict(sorted((table | {label: (f"label_{label}", PRESENT) for label in unnamed}).items()))
        return Mask(np.ascontiguousarray(ids), labels, spacing, affine)

    def write_mask(self, folder, name, mask):
        """Writes the label map beneath the root, whole or not at all; gives its path."""
        image = nibabel.Nifti2Image(mask.ids.T, mask.affine)  # NIfTI-2: 64-bit numbers, so that no geometry is rounded
        image.header.set_zooms(mask.spacing[::-1])
        image.header.set_xyzt_units("mm")
        content = gzip.compress(image.to_bytes(), 1, mtime=0)
        handle = self.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        file_name = f"{name}-{uuid.uuid4().hex}.nii.gz"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(file_name, flags, 0o666, dir_fd=handle), "wb") as file:
                try:
                    file.write(content)
                    file.flush()
                except OSError:
                    os.unlink(file_name, dir_fd=handle)
                    raise
        except OSError as error:
            raise Refused(f"{folder}: {error.strerror}", "environment") from None
        finally:
            os.close(handle)
        return os.path.join(folder, file_name)


def receive(message, root):
    if message.WhichOneof("content") == "path":
        return root.read_mask(message.path, label_table(message.labels))
    return decode(message.encoded)


def send(masks, root, exchange_folder, check):
    """The masks of a reply: inside of it as long as they fit, else as files, which are removed again if one fails."""
    sent, room = [], MAX_INLINE_BYTES
    try:
        for name, mask in masks:
            encoded = encode(mask)
            if encoded.ByteSize() <= room:
                room -= encoded.ByteSize()
                content = pb.Mask(encoded=encoded)
            else:
                refuse_if(not exchange_folder, f"mask {name} is too large for a message", "limit_exceeded")
                content = pb.Mask(path=root.write_mask(exchange_folder, name, mask), labels=encoded.labels)
            sent.append(pb.NamedMask(name=name, mask=content))
            check()  # nobody would clean up after a caller that is gone
    except Exception:
        for named in sent:
            if named.mask.path:
                os.unlink(os.path.join(root.path, named.mask.path))
        raise
    return sent


# --- files beside the masks

# Not in file names: control characters, separators, and what is not seen or turns the direction of the text.
UNUSABLE = re.compile(
    r"[\0-\x1f\x7f-\x9f/\\\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    r"\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])\s*(\.|$)", re.IGNORECASE)  # Windows keeps these


def is_artefact_name(name):
    """True for a plain file name that every system keeps as it is, and that looks like what it is."""
    if not name or name.startswith(".") or name.endswith((".", " ")) or UNUSABLE.search(name) or DEVICE.match(name):
        return False
    return len(name.encode()) <= MAX_ARTEFACT_NAME_BYTES


@contextmanager
def new_file(folder, name):
    """A handle of a new file, locked while it is not whole; it is removed if the block ends in an error."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield handle
    except BaseException:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(handle)


def identity(status):
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Artefacts:
    """The folder that a request named for files: an open handle, so that no name leads out of it."""

    def __init__(self, handle, path):
        self.handle, self.path = handle, path
        self.written = {}  # name -> (media type, which file it is)

    def write(self, name, media_type, content):
        """Writes a file, of bytes or of a text, whole or not at all; one of the same name is replaced."""
        with self.open(name, media_type) as file:
            file.write(content.encode() if isinstance(content, str) else content)

    @contextmanager
    def open(self, name, media_type):
        """The same for large ones: a binary file, which gets its name when the block ends without an error."""
        refuse_if(not is_artefact_name(name), f"artefact name {quoted(name)} is not a plain file name", "internal")
        hidden = f".nephrite-{secrets.token_hex(8)}.partial"
        try:
            with new_file(self.handle, hidden) as handle:
                with os.fdopen(handle, "wb", closefd=False) as file:
                    yield file
                os.fsync(handle)
                os.rename(hidden, name, src_dir_fd=self.handle, dst_dir_fd=self.handle)
                self.written[name] = media_type, identity(os.fstat(handle))
        except OSError as error:
            raise Refused(f"{os.path.join(self.path, name)}: {error.strerror or error}", "environment") from None

    def messages(self):
        """For the reply, in the order written."""
        for name, (media_type, _) in self.written.items():
            yield pb.Artefact(name=name, path=os.path.join(self.path, name), media_type=media_type)

    def discard(self):
        """Removes what was written; what somebody else has put under these names meanwhile stays."""
        for name, (_, file) in self.written.items():
            with suppress(OSError):  # the error of the request is the one to tell
                if identity(os.stat(name, dir_fd=self.handle, follow_symlinks=False)) == file:
                    os.unlink(name, dir_fd=self.handle)


def csv_text(rows):
    """Rows as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


@contextmanager
def artefacts_in(folder, root):
    """The writer for a folder, None if there is none; a request that ends in an error leaves no files."""
    if not folder:
        yield None
        return
    handle = root.open_writable_folder(folder)
    artefacts = Artefacts(handle, folder)
    try:
        yield artefacts
    except BaseException:
        artefacts.discard()
        raise
    finally:
        artefacts.handle = -1  # nothing can be written any more
        os.close(handle)


@dataclass
class Context:
    """What `run` may use besides its inputs."""

    check: Callable  # call it now and then in long work: it ends what nobody waits for any more
    artefacts: Artefacts | None  # where files go; None if the caller wants none


# --- parameters


def number_words(number):
    """The shortest digits that mean the number, without an exponent."""
    return "NaN" if np.isnan(number) else np.format_float_positional(number, trim="-")


def found_words(value):
    match value.WhichOneof("value"):
        case "flag":
            return "true" if value.flag else "false"
        case "integer":
            return f"the whole number {value.integer}"
        case "number":
            return f"the number {number_words(value.number)}"
        case "text":
            return f"the text {quoted(value.text)}"
        case "texts":
            count = len(value.texts.values)
            return f"a list of {count} text{'' if count == 1 else 's'}"


def expected_words(spec):
    bytes_each = f"of at most {MAX_TEXT_BYTES} bytes"
    match spec.WhichOneof("kind"):
        case "flag":
            return "true or false"
        case "integer":
            return f"a whole number from {spec.integer.min} to {spec.integer.max}"
        case "number":
            return f"a number from {number_words(spec.number.min)} to {number_words(spec.number.max)}"
        case "text":
            return f"one of {', '.join(spec.text.choices)}" if spec.text.choices else f"a text {bytes_each}"
        case "texts":
            return f"a list of at most {MAX_TEXTS} texts, each {bytes_each}"
        case "label":
            return f"the name of a label, {bytes_each}"
        case "labels":
            return f"a list of at most {MAX_TEXTS} names of labels, each {bytes_each}"


def accept(spec, value):
    """The value as the kind of parameter holds it; Refused if it cannot."""
    kind, given = spec.WhichOneof("kind"), value.WhichOneof("value")
    kind_of, held = getattr(spec, kind), getattr(value, given)
    fits = lambda text: len(text.encode()) <= MAX_TEXT_BYTES
    if kind == given == "flag":
        return held
    if kind == given == "integer" and kind_of.min <= held <= kind_of.max:
        return held
    if kind == "number" and given in ("integer", "number"):
        if np.isfinite(held) and kind_of.min <= float(held) <= kind_of.max:
            return float(held)
    if kind == given == "text" and (held in kind_of.choices if kind_of.choices else fits(held)):
        return held
    if kind == "label" and given == "text" and fits(held):
        return held
    if kind in ("texts", "labels") and given == "texts":
        if len(held.values) <= MAX_TEXTS and all(map(fits, held.values)):
            return list(held.values)
    raise Refused(f"parameter {spec.name} is {found_words(value)}, expected {expected_words(spec)}")


def accept_all(specs, given):
    """Values of all parameters by name: as given, else the default, else None (an empty list for lists)."""
    known = [spec.name for spec in specs]
    unknown = min(given.keys() - set(known), default=None)
    if unknown is not None:
        raise Refused(f"unknown parameter {quoted(unknown)}, {known_are(known)}")
    values = {}
    for spec in specs:
        refuse_request_if(spec.required and spec.name not in given, f"parameter {spec.name} is missing")
        value = given[spec.name] if spec.name in given else spec.default if spec.HasField("default") else None
        off = [] if spec.WhichOneof("kind") in ("texts", "labels") else None
        values[spec.name] = off if value is None else accept(spec, value)
    return values


def known_labels(operation, inputs, names):
    """Names of the labels of the masks that these inputs got, of all inputs if none is named; each once, in order."""
    given = [inputs[spec.name] for spec in operation.inputs if not names or spec.name in names]
    masks = [mask for one in given for mask in (one if isinstance(one, list) else [one]) if mask is not None]
    return dict.fromkeys(name for mask in masks for name, _ in mask.labels.values())


def step_targets(operation, parameters):
    """Names of the labels that steps make; other parameters may name them."""
    steps = [spec for spec in operation.parameters if spec.labels.form == pb.LABEL_FORM_STEP]
    return {text.partition("=")[0].strip() for spec in steps for text in parameters[spec.name]}


def names_in(parameter, text, form, known):
    """The names of labels in a text of a parameter."""
    if form == pb.LABEL_FORM_STEP:
        return []  # for the operation to check
    if form == pb.LABEL_FORM_NAME_ID:
        name, _, number = (part.strip() for part in text.rpartition("="))
        is_id = number.isascii() and number.isdecimal() and 1 <= int(number) <= 65535
        wrong = f"parameter {parameter} has {quoted(text)}: expected name=id with an id from 1 to 65535"
        refuse_request_if(not name or not is_id, wrong)
        return [name]
    if form == pb.LABEL_FORM_JOINED and text not in known:
        return [name.strip() for name in text.split("+")]
    return [text]


def check_labels(operation, inputs, parameters):
    """Every label that a parameter names must be in the label table of a mask; it may have no voxels."""
    targets = step_targets(operation, parameters)
    for spec in operation.parameters:
        kind, value = spec.WhichOneof("kind"), parameters[spec.name]
        if kind not in ("label", "labels") or value is None:
            continue
        known = known_labels(operation, inputs, getattr(spec, kind).inputs)
        accepted = targets | known.keys()
        for text in [value] if kind == "label" else value:
            for name in names_in(spec.name, text, spec.labels.form, accepted):
                if name not in accepted:
                    raise unknown_label(spec.name, name, known)


# --- requests


def check_text(field, text, is_path=False):
    size = len(text.encode())
    refuse_request_if(size > MAX_TEXT_BYTES, f"{field} has {size} bytes, expected at most {MAX_TEXT_BYTES}")
    refuse_request_if(is_path and "\0" in text, f"{field} holds a NUL byte")


def check_message(request):
    """What the message alone shows to be wrong."""
    count = len(request.inputs)
    refuse_request_if(count > MAX_INPUTS, f"inputs has {count} entries, expected at most {MAX_INPUTS}")
    for named in request.inputs:
        refuse_request_if(not named.HasField("mask"), "inputs.mask is missing")
        check_text("inputs.name", named.name)
        check_mask_message(named.mask)
    check_text("operation", request.operation)
    for value in request.parameters.values():
        refuse_request_if(value.WhichOneof("value") is None, "parameters.value is missing")
    check_text("artefacts_folder", request.artefacts_folder, is_path=True)
    check_text("exchange_folder", request.exchange_folder, is_path=True)


def check_mask_message(mask):
    content, count = mask.WhichOneof("content"), len(mask.labels)
    refuse_request_if(content is None, "mask.content is missing")
    if content == "path":
        check_text("mask.path", mask.path, is_path=True)
        refuse_request_if(not mask.path, "mask.path is missing")
    else:
        expected = "none beside an encoded mask, which has its own"
        refuse_request_if(count, f"mask.labels is {count} labels, expected {expected}")


def check_inputs(operation, given):
    """Names of the inputs, and how often each was given."""
    known = [spec.name for spec in operation.inputs]
    counts = Counter(named.name for named in given)
    unknown = min(counts.keys() - set(known), default=None)
    if unknown is not None:
        raise Refused(f"unknown input {quoted(unknown)}, {known_are(known)}")
    for spec in operation.inputs:
        count = counts[spec.name]
        refuse_request_if(spec.required and not count, f"input {spec.name} is missing")
        too_many = count > 1 and not spec.repeated
        refuse_request_if(too_many, f"input {spec.name} was given {count} times, expected one mask")


def grid_difference(expected, found):
    """What differs between the grids of two masks; None if their voxels lie in the same places."""
    voxels = lambda mask: "×".join(str(n) for n in reversed(mask.ids.shape))
    if found.ids.shape != expected.ids.shape:
        return f"{voxels(found)} voxels, expected {voxels(expected)}"
    step = np.linalg.norm(expected.affine[:3, :3], axis=0).min()
    for corner in np.ndindex(2, 2, 2):
        z, y, x = (float(bit * (n - 1)) for bit, n in zip(corner, found.ids.shape))
        distance = np.linalg.norm(expected.affine @ [x, y, z, 1] - found.affine @ [x, y, z, 1])
        if not distance <= SAME_GRID_VOXELS * step:
            return f"voxel {[x, y, z]} (x, y, z) lies {distance:.4f} mm from where it should"
    return None


def accept_inputs(operation, given, root):
    """Masks by input name; a list where an input may be repeated, None where one was left out."""
    check_inputs(operation, given)
    masks = {spec.name: [] for spec in operation.inputs}
    for named in given:
        masks[named.name].append(receive(named.mask, root))
    in_order = [(spec, mask) for spec in operation.inputs for mask in masks[spec.name]]
    first, reference = in_order[0]
    for spec, mask in in_order:
        difference = grid_difference(reference, mask) if spec.on_first_grid else None
        refuse_if(difference, f"input {spec.name} lies on another grid than {first.name}: {difference}")
    one = lambda found: found[0] if found else None
    return {spec.name: masks[spec.name] if spec.repeated else one(masks[spec.name]) for spec in operation.inputs}


def end(context, error):
    """Ends a request by an error; the service goes on."""
    code, message = "internal", f"{type(error).__name__}: {error}"
    if isinstance(error, Refused):
        code, message = error.code, str(error)
    elif isinstance(error, MemoryError):
        code, message = "limit_exceeded", "out of memory"
    # Some clients show nothing of a message that ends in white space.
    message = message.encode(errors="replace")[:MAX_STATUS_BYTES].decode(errors="ignore").rstrip()
    context.set_trailing_metadata((("nephrite-error-code", code),))
    context.abort(CODES[code], message or code)


class Mounts(mount_pb2_grpc.MountServiceServicer):
    """Shows callers a file that they have just written, so that they know that this process sees their volume."""

    def __init__(self, root):
        self.root = root

    def Check(self, request, context):
        try:
            named = os.path.basename(request.path).startswith(CHECK_FILE)
            refuse_if(not named, f"{request.path}: no check file", "permission_denied")
            with self.root.open_file(request.path) as file:
                content = file.read(MAX_CHECK_BYTES + 1)
            refuse_if(len(content) > MAX_CHECK_BYTES, f"{request.path}: no check file", "permission_denied")
            return mount_pb2.CheckResponse(content=content)
        except Exception as error:
            end(context, error)


class Service(mask_pb2_grpc.MaskServiceServicer):
    def __init__(self, operation, run, root, n_jobs):
        self.operation, self.run, self.root = operation, run, root
        self.slots = threading.BoundedSemaphore(n_jobs)  # each job holds dense arrays

    def Describe(self, request, context):
        return pb.DescribeResponse(
            name=self.operation.name, version=self.operation.version, operations=[self.operation]
        )

    def Process(self, request, context):
        try:
            return self.process(request, context)
        except Exception as error:
            end(context, error)

    def process(self, request, context):
        def check():
            left = context.time_remaining()
            refuse_if(left is not None and left <= 0, "the deadline passed", "deadline_exceeded")
            refuse_if(not context.is_active(), "cancelled by the caller", "cancelled")

        check_message(request)
        name, known = request.operation, self.operation.name
        refuse_request_if(name != known, f"unknown operation {quoted(name)}, {known_are([known])}")
        parameters = accept_all(self.operation.parameters, request.parameters)
        with artefacts_in(request.artefacts_folder, self.root) as artefacts, self.slot(check):
            return self.answer(request, parameters, Context(check, artefacts))

    @contextmanager
    def slot(self, check):
        while not self.slots.acquire(timeout=0.05):
            check()
        try:
            yield
        finally:
            self.slots.release()

    def answer(self, request, parameters, context):
        operation, start = self.operation, time.monotonic()
        inputs = accept_inputs(operation, request.inputs, self.root)
        refuse_request_if(context.artefacts and not operation.artefacts, "artefacts: this operation writes no files")
        check_labels(operation, inputs, parameters)
        context.check()
        masks, measurements = self.run(inputs, parameters, context)
        seconds = time.monotonic() - start
        context.check()
        reply = pb.ProcessResponse(measurements=measurements, version=operation.version, seconds=seconds)
        reply.artefacts.extend(context.artefacts.messages() if context.artefacts else [])
        named = [(spec.name, masks[spec.name]) for spec in operation.outputs]
        reply.masks.extend(send(named, self.root, request.exchange_folder, context.check))
        return reply


def serve(operation, run):
    """Serves until SIGTERM or SIGINT; calls under way are given ten seconds to end."""
    parser = argparse.ArgumentParser(description=operation.help)
    parser.add_argument("--listen", default=os.environ.get("NEPHRITE_LISTEN", "127.0.0.1:7445"), help="address and port")
    parser.add_argument("--root", default=os.environ.get("NEPHRITE_ROOT", "/data"), help="the shared volume")
    arguments = parser.parse_args()
    limits = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(32), options=limits, maximum_concurrent_rpcs=64)
    root = Root(arguments.root)
    mask_pb2_grpc.add_MaskServiceServicer_to_server(Service(operation, run, root, n_jobs=os.cpu_count() or 1), server)
    mount_pb2_grpc.add_MountServiceServicer_to_server(Mounts(root), server)
    healthy, name = health.HealthServicer(), pb.DESCRIPTOR.services_by_name["MaskService"].full_name
    mounts = mount_pb2.DESCRIPTOR.services_by_name["MountService"].full_name
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection((name, mounts, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = server.add_insecure_port(arguments.listen)
    server.start()
    healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print(f"listening on http://{arguments.listen.rpartition(':')[0]}:{port}", flush=True)
    stop.wait()
    healthy.enter_graceful_shutdown()
    server.stop(grace=10).wait()
