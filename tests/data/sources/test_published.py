"""Published sets: fetched once from a real server on this machine, checked, and kept."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import sys
import tarfile
import threading
import zipfile
from functools import partial

import numpy as np
import pytest
import scipy.io

import minicnn
from minicnn.data import load, names
from minicnn.data.sources import published
from minicnn.errors import DataError
from tests.data.idx_files import NAMES, digits, idx_bytes

RNG = np.random.default_rng(5)
CIFAR = RNG.integers(0, 256, (12, 3073), dtype=np.uint8)
CIFAR[:, 0] = np.arange(12) % 10


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that is served, as a mirror; nothing else has any data."""
    root = tmp_path / "served"
    root.mkdir()
    handler = partial(Quiet, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        monkeypatch.delenv("MINICNN_DATA", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(minicnn, "__file__", str(tmp_path / "clone" / "minicnn" / "x.py"))
        monkeypatch.setenv("MINICNN_MIRROR", f"http://127.0.0.1:{running.server_port}/")
        yield root
        running.shutdown()
        thread.join()


def serve(root, monkeypatch, name, contents):
    """Put the files of a data set on the server; their checksums replace the real ones."""
    source = published.PUBLISHED[name]
    assert list(contents) == list(source.files)
    folder = root / (source.folder or name)
    folder.mkdir()
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    sums = {file: f"md5:{hashlib.md5(content).hexdigest()}" for file, content in contents.items()}
    monkeypatch.setitem(published.PUBLISHED, name, dataclasses.replace(source, files=sums))
    return folder


def idx_contents(files):
    return {f"{n}.gz": gzip.compress(idx_bytes(a), 1) for n, a in zip(files, digits(classes=10))}


@pytest.mark.parametrize("name", ["fashion-mnist", "kmnist", "mnist"])
def test_four_idx_files(server, monkeypatch, name):
    folder = serve(server, monkeypatch, name, idx_contents(NAMES))
    train, test = load(name)
    np.testing.assert_array_equal(train.images[:, 0], digits()[0])
    np.testing.assert_array_equal(test.labels, digits()[3])
    assert len(set(train.class_names)) == 10
    for file in list(folder.iterdir()):
        file.unlink()  # the second time nothing is fetched
    np.testing.assert_array_equal(load(name)[0].images, train.images)


def test_emnist_lies_on_its_side_and_letters_begin_at_1(server, monkeypatch):
    arrays = digits(train=60, test=52, classes=26)
    for labels in arrays[1::2]:
        labels += 1
    kinds = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for part in ("letters", "digits"):
            for kind, array in zip(kinds, arrays):
                name = f"gzip/emnist-{part}-{kind}-ubyte.gz"
                archive.writestr(name, gzip.compress(idx_bytes(array), 1))
    serve(server, monkeypatch, "emnist-letters", {"gzip.zip": packed.getvalue()})
    train, test = load("emnist-letters")
    assert train.shape == (1, 5, 6) and train.class_names[0] == "a" and train.classes == 26
    np.testing.assert_array_equal(train.images[:, 0], arrays[0].transpose(0, 2, 1))
    np.testing.assert_array_equal(test.labels, arrays[3].astype(int) - 1)
    (server / "emnist" / "gzip.zip").unlink()
    monkeypatch.setitem(
        published.PUBLISHED, "emnist-digits",
        dataclasses.replace(
            published.PUBLISHED["emnist-digits"],
            files=published.PUBLISHED["emnist-letters"].files,
        ),
    )  # fmt: skip
    with pytest.raises(DataError, match=r"labels are outside the classes 0 to 9"):
        load("emnist-digits")  # from the same archive, which was kept; its labels are letters'


def test_qmnist_has_its_classes_in_the_first_column(server, monkeypatch):
    images, labels, test_images, test_labels = digits()
    wide = [
        np.stack([column, 99 + 0 * column], 1).astype(np.int32) for column in (labels, test_labels)
    ]
    arrays = [images, wide[0], test_images, wide[1]]
    files = published.PUBLISHED["qmnist"].files
    contents = {f: gzip.compress(idx_bytes(a), 1) for f, a in zip(files, arrays)}
    serve(server, monkeypatch, "qmnist", contents)
    train, test = load("qmnist")
    np.testing.assert_array_equal(train.labels, labels)
    np.testing.assert_array_equal(test.images[:, 0], test_images)


def tar(contents):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def cifar_archive():
    files = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    contents = {f"cifar-10-batches-bin/{f}": CIFAR.tobytes() for f in files}
    contents["cifar-10-batches-bin/batches.meta.txt"] = b"\n".join(
        b"plane car bird cat deer dog frog horse ship truck".split()
    )
    contents["../escaped.txt"] = b"outside"
    return tar(contents)


def test_cifar10_from_its_archive(server, monkeypatch, tmp_path):
    serve(server, monkeypatch, "cifar10", {"cifar-10-binary.tar.gz": cifar_archive()})
    train, test = load("cifar10")
    assert (len(train), len(test), train.shape) == (60, 12, (3, 32, 32))
    assert train.class_names[:2] == ("plane", "car")
    np.testing.assert_array_equal(test.images, CIFAR[:, 1:].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(test.labels, CIFAR[:, 0])
    assert not list(tmp_path.rglob("../escaped.txt"))
    assert not (tmp_path / "cache" / "minicnn" / "escaped.txt").exists()


def test_an_archive_that_was_put_there_by_hand(server, monkeypatch, tmp_path):
    folder = tmp_path / "cache" / "minicnn" / "cifar10"
    folder.mkdir(parents=True)
    (folder / "cifar-10-binary.tar.gz").write_bytes(cifar_archive())
    assert len(load("cifar10")[0]) == 60


def test_svhn_calls_zero_ten(server, monkeypatch):
    contents, images, labels = {}, [], []
    for number, file in enumerate(("train_32x32.mat", "test_32x32.mat")):
        x = np.random.default_rng(number).integers(0, 256, (32, 32, 3, 20), dtype=np.uint8)
        y = (np.arange(20) % 10 + 1).astype(np.uint8)[:, None]
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, {"X": x, "y": y})
        contents[file] = buffer.getvalue()
        images.append(x), labels.append(y)
    serve(server, monkeypatch, "svhn", contents)
    train, test = load("svhn")
    np.testing.assert_array_equal(train.labels, labels[0].ravel() % 10)
    np.testing.assert_array_equal(test.images[7], images[1][..., 7].transpose(2, 0, 1))


def test_a_wrong_checksum(server, monkeypatch, tmp_path):
    folder = serve(server, monkeypatch, "kmnist", idx_contents(NAMES))
    (folder / f"{NAMES[1]}.gz").write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match="is not the published file.*Nothing was kept") as caught:
        load("kmnist")
    assert f"{NAMES[1]}.gz" in str(caught.value)
    kept = [path.name for path in (tmp_path / "cache" / "minicnn" / "kmnist").iterdir()]
    assert kept == [f"{NAMES[0]}.gz"]


def test_a_download_that_is_cut_off(server, monkeypatch, tmp_path):
    folder = serve(server, monkeypatch, "kmnist", idx_contents(NAMES))

    def short(self):
        content = (folder / f"{NAMES[0]}.gz").read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    monkeypatch.setattr(Quiet, "do_GET", short)
    with pytest.raises(DataError, match="kmnist: http.*(could not be fetched|not the published)"):
        load("kmnist")
    assert list((tmp_path / "cache" / "minicnn" / "kmnist").iterdir()) == []


def test_a_file_that_the_server_lacks(server, monkeypatch):
    folder = serve(server, monkeypatch, "kmnist", idx_contents(NAMES))
    (folder / f"{NAMES[2]}.gz").unlink()
    with pytest.raises(DataError, match="could not be fetched: 404"):
        load("kmnist")


@pytest.mark.parametrize("name", [n for n in names() if n not in ("digits",)])
def test_without_a_network_one_sentence_says_what_to_put_where(name, tmp_path, monkeypatch):
    monkeypatch.delenv("MINICNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(minicnn, "__file__", str(tmp_path / "clone" / "minicnn" / "x.py"))
    with pytest.raises(DataError, match="could not be fetched: Connection refused") as caught:
        load(name)
    message, source = str(caught.value), published.PUBLISHED[name]
    folder = tmp_path / "minicnn" / (source.folder or name)
    assert f"into {folder}" in message and "MINICNN_DATA" in message and len(message) < 2000
    assert all(file in message for file in source.files)


def test_without_pooch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"fetching kmnist needs pooch.*minicnn\[data\]"):
        load("kmnist")


def test_a_damaged_archive(server, monkeypatch):
    serve(server, monkeypatch, "cifar10", {"cifar-10-binary.tar.gz": cifar_archive()[:-100]})
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz: it is damaged"):
        load("cifar10")


def test_every_source_has_checksums_and_a_url():
    for name, source in published.PUBLISHED.items():
        assert source.base.startswith("http") and source.base.endswith("/"), name
        for checksum in source.files.values():
            kind, _, digest = checksum.partition(":")
            assert kind == "md5" and len(digest) == 32
