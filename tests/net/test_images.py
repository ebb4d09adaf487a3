import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.images import Image
from mtftpd.errors import BadConfig, Unavailable
from mtftpd.net.images import ImageChanged, ImageStore


def found(image: Image | None) -> Image:
    assert image is not None
    return image


def read(store: ImageStore, image: Image, offset: int, size: int) -> bytes:
    buffer = bytearray(size)
    store.read(image, [memoryview(buffer)], offset)
    return bytes(buffer)


def test_a_file_below_the_root_is_found_and_read(root: Path, store: ImageStore) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "boot").write_bytes(b"0123456789")
    image = found(store.lookup("a/b/boot"))
    assert (image.name, image.size, image.digest) == ("a/b/boot", 10, "")
    assert read(store, image, 3, 4) == b"3456"


def test_links_are_followed_inside_the_root_only(root: Path, store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "boot").write_bytes(b"boot")
    (root / "sub").mkdir()
    (root / "sub" / "inside").symlink_to("../boot")
    (root / "outside").symlink_to("../secret")
    (root / "absolute").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "magic").symlink_to("/proc/self/root/etc/passwd")
    assert found(store.lookup("sub/inside")).size == 4
    for name in ("outside", "absolute", "folder/secret", "loop", "magic", "../secret", "sub/../../secret"):
        assert store.lookup(name) is None, name
    assert store.lookup(str(tmp_path / "secret")) is None


@pytest.mark.parametrize("name", ["", ".", "sub", "missing", "boot/x", "fifo", "socket", "x" * 5000, "a\0b", "\ud800"])
def test_what_is_not_a_regular_file_is_not_found(root: Path, store: ImageStore, name: str) -> None:
    (root / "boot").write_bytes(b"boot")
    (root / "sub").mkdir()
    os.mkfifo(root / "fifo")
    os.mknod(root / "socket", 0o140600)
    assert store.lookup(name) is None
    assert len(store) == 0


@given(st.text(max_size=40))
def test_no_name_opens_anything_but_the_file_of_that_name(name: str) -> None:
    store = ImageStore("/dev")  # Full of things that are not regular files, and of links out of it.
    try:
        image = store.lookup(name)
        assert image is None or Path("/dev", name).is_file()
    finally:
        store.close()


def test_the_same_unchanged_file_is_one_image_until_it_is_released(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(b"boot")
    os.link(root / "boot", root / "other")
    image = found(store.lookup("boot"))
    assert store.lookup("boot") is image
    assert store.lookup("other") is image
    assert len(store) == 1
    assert store.release(image)
    assert not store.release(image)
    assert len(store) == 0
    with pytest.raises(ImageChanged):
        read(store, image, 0, 1)
    assert found(store.lookup("boot")).key != image.key


def test_a_file_overwritten_in_place_is_reported_once(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(b"old!")
    image = found(store.lookup("boot"))
    assert store.changed() == []
    os.utime(root / "boot", ns=(0, 1))
    assert store.changed() == [image]
    assert store.changed() == []
    with pytest.raises(ImageChanged):
        read(store, image, 0, 4)
    again = found(store.lookup("boot"))
    assert again.key != image.key
    assert read(store, again, 0, 4) == b"old!"


def test_a_file_replaced_by_another_is_served_to_its_end(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(b"old!")
    old = found(store.lookup("boot"))
    (root / "new").write_bytes(b"new!")
    os.replace(root / "new", root / "boot")
    assert store.changed() == []
    assert read(store, old, 0, 4) == b"old!"
    new = found(store.lookup("boot"))
    assert new.key != old.key
    assert read(store, new, 0, 4) == b"new!"


@pytest.mark.parametrize("cut", [0, 5])
def test_reading_beyond_a_truncation_is_a_change(root: Path, store: ImageStore, cut: int) -> None:
    (root / "boot").write_bytes(b"0123456789")
    image = found(store.lookup("boot"))
    os.truncate(root / "boot", cut)
    with pytest.raises(ImageChanged):
        read(store, image, 4, 6)


def test_the_catalogue_knows_names_and_paths_and_digests(root: Path, store: ImageStore) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "a").write_bytes(b"a" * 3_000_000)
    (root / "b").write_bytes(b"")
    told: list[tuple[str, int, int]] = []
    catalogue = store.catalogue({"first": "sub/a", "second": str(root / "b")}, lambda *step: told.append(step))
    first, second = catalogue.images
    assert catalogue.paths == {"first": first, "sub/a": first, "second": second, "b": second}
    assert first.digest == hashlib.sha256(b"a" * 3_000_000).hexdigest()
    assert (second.size, second.digest) == (0, hashlib.sha256(b"").hexdigest())
    assert told[-1] == ("first", 3_000_000, 3_000_000)
    assert store.lookup("sub/a") is first
    assert not store.release(first)
    assert read(store, first, 0, 2) == b"aa"


def test_two_names_of_one_file_are_one_image(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(b"boot")
    catalogue = store.catalogue({"one": "boot", "two": "boot"})
    assert len(catalogue.images) == 1
    assert catalogue.paths["one"] is catalogue.paths["two"] is catalogue.paths["boot"]


def test_a_new_catalogue_keeps_what_did_not_change(root: Path, store: ImageStore) -> None:
    (root / "same").write_bytes(b"same")
    (root / "boot").write_bytes(b"old!")
    before = store.catalogue({"same": "same", "boot": "boot"})
    (root / "new").write_bytes(b"new!")
    os.replace(root / "new", root / "boot")
    assert store.replaced() == ["boot"]
    after = store.catalogue({"same": "same", "boot": "boot"})
    assert after.paths["same"] is before.paths["same"]
    assert after.paths["boot"].key != before.paths["boot"].key
    assert read(store, before.paths["boot"], 0, 4) == b"old!"
    assert store.catalogue({"same": "same"}).paths == {"same": before.paths["same"]}
    store.catalogue({})
    assert store.close_retired({image.key for image in (*before.images, *after.images)}) == []
    assert read(store, before.paths["boot"], 0, 4) == b"old!"
    assert read(store, after.paths["boot"], 0, 4) == b"new!"
    assert store.close_retired({after.paths["boot"].key}) == list(before.images)
    with pytest.raises(ImageChanged):
        read(store, before.paths["boot"], 0, 4)
    assert read(store, after.paths["boot"], 0, 4) == b"new!"
    assert len(store.close_retired(())) == 1
    assert len(store) == 0


def test_what_a_catalogue_took_up_again_is_not_retired(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(b"boot")
    before = store.catalogue({"boot": "boot"})
    store.catalogue({})
    assert not store.release(before.images[0])
    assert store.catalogue({"other name": "boot"}).images == before.images
    assert store.close_retired(()) == []
    assert read(store, before.images[0], 0, 4) == b"boot"


def test_files_may_be_looked_up_while_others_are_hashed(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(b"boot")
    (root / "other").write_bytes(b"other")
    with store.open({"boot": "boot"}) as candidates:
        early, other = found(store.lookup("boot")), found(store.lookup("other"))
        candidates.hash(lambda *_: None)
        (image,) = store.take(candidates).images
    assert (early.digest, image.digest) == ("", hashlib.sha256(b"boot").hexdigest())
    assert store.release(early)
    assert [read(store, each, 0, 4) for each in (image, other)] == [b"boot", b"othe"]


def test_a_file_that_is_written_while_it_is_hashed_is_refused(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(b"boot")
    (root / "good").write_bytes(b"good")
    before = store.catalogue({"good": "good"})

    def write_more(*_: object) -> None:
        (root / "boot").write_bytes(b"boot again")

    with store.open({"good": "good", "boot": "boot"}) as candidates:
        candidates.hash(write_more)
        with pytest.raises(Unavailable, match="--image boot=boot: the file is being written"):
            store.take(candidates)
    assert store.catalogue({"good": "good"}) == before
    assert len(store) == 1


def test_hashing_that_is_stopped_leaves_nothing_open(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(b"boot")
    before = set(os.listdir("/proc/self/fd"))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.catalogue({"boot": "boot"}, stop)
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("path", "says"), [("missing", "No such file"), ("../x", "leads out of --root"), ("sub", "not a regular file")]
)
def test_a_bad_image_names_the_option_and_leaves_nothing_open(
    root: Path, store: ImageStore, path: str, says: str
) -> None:
    (root / "good").write_bytes(b"good")
    (root / "sub").mkdir()
    with pytest.raises(BadConfig, match=f"--image boot={path}: .*{says}"):
        store.catalogue({"good": "good", "boot": path})
    assert len(store) == 0


def test_a_root_that_is_no_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"--root .*nowhere"):
        ImageStore(tmp_path / "nowhere")
