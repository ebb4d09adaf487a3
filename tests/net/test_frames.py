import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.images import Image
from mtftpd.net.frames import CHUNK, Frames, wire_number
from mtftpd.net.images import ImageChanged, ImageStore
from mtftpd.wire import tftp

PATTERN = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def images() -> Iterator[tuple[ImageStore, dict[int, Image]]]:
    """One store with a file of every size that a test asks for; files of a module, made once."""
    with tempfile.TemporaryDirectory() as folder:
        opened = ImageStore(folder)
        yield opened, {}
        opened.close()


def sized(images: tuple[ImageStore, dict[int, Image]], size: int) -> Image:
    store, known = images
    if size not in known:
        Path(store.root, str(size)).write_bytes(content(size))
        image = store.lookup(str(size))
        assert image is not None
        known[size] = image
    return known[size]


def content(size: int) -> bytes:
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def packets(image: Image, first: int, count: int, block_size: int, rollover: int) -> list[bytes]:
    """What the wire schema makes of these blocks, one by one."""
    data = content(image.size)
    return [
        tftp.build(
            tftp.Data(
                wire_number(block, rollover), data[(block - 1) * block_size : (block - 1) * block_size + block_size]
            )
        )
        for block in range(first, min(first + count, image.blocks(block_size) + 1))
    ]


def split(views: Iterator[memoryview], block_size: int) -> list[bytes]:
    stride = block_size + 4
    return [bytes(view[at : at + stride]) for view in views for at in range(0, len(view), stride)]


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int, int, int]:
    block_size = draw(st.sampled_from([8, 64, 512, 1024, 1428, 1468, 8192, 65464]))
    blocks = draw(st.integers(1, 300))
    size = min(blocks * block_size, 400_000) + draw(st.sampled_from([-1, 0, 1, block_size // 2]))
    first = draw(st.integers(1, max(size, 0) // block_size + 1))
    return max(size, 0), block_size, first, draw(st.integers(1, 200))


@given(runs(), st.sampled_from([0, 1]))
def test_runs_are_what_the_schema_builds(
    images: tuple[ImageStore, dict[int, Image]], run: tuple[int, int, int, int], rollover: int
) -> None:
    size, block_size, first, count = run
    frames = Frames(images[0])
    image = sized(images, size)
    expected = packets(image, first, count, block_size, rollover)
    assert split(frames.runs(image, first, count, block_size, rollover), block_size) == expected
    assert bytes(frames.view(image, first, block_size, rollover)) == expected[0]


@pytest.mark.parametrize("rollover", [0, 1])
def test_numbers_roll_over_where_clients_expect_it(images: tuple[ImageStore, dict[int, Image]], rollover: int) -> None:
    image = sized(images, 8 * 131_200)
    frames = Frames(images[0])
    around = packets(image, 65_530, 12, 8, rollover)
    assert split(frames.runs(image, 65_530, 12, 8, rollover), 8) == around
    assert [tftp_number(packet) for packet in around[4:8]] == [65_534, 65_535, rollover, rollover + 1]
    second = packets(image, 131_068, 6, 8, rollover)
    assert split(frames.runs(image, 131_068, 6, 8, rollover), 8) == second


def tftp_number(packet: bytes) -> int:
    parsed = tftp.parse_untrusted(packet)
    assert isinstance(parsed, tftp.Data)
    return parsed.number


@given(st.integers(1, 400_000), st.sampled_from([0, 1]))
def test_wire_numbers_count_up_and_restart_at_the_rollover(block: int, rollover: int) -> None:
    number = wire_number(block, rollover)
    following = wire_number(block + 1, rollover)
    assert following == (rollover if number == 65_535 else number + 1)


def test_the_cache_keeps_its_limit_and_the_chunks_last_used(images: tuple[ImageStore, dict[int, Image]]) -> None:
    image = sized(images, 64 * CHUNK)
    frames = Frames(images[0], limit=4 * CHUNK)
    first = bytes(frames.view(image, 1, 512))
    for block in range(1, image.blocks(512), 127):
        assert bytes(frames.view(image, 1, 512)) == first
        frames.view(image, block, 512)
        assert frames.held <= 4 * CHUNK
    frames.forget(image)
    assert frames.held == 0


def test_one_block_may_be_larger_than_the_cache(images: tuple[ImageStore, dict[int, Image]]) -> None:
    image = sized(images, 3 * 65464)
    frames = Frames(images[0], limit=1000)
    assert split(frames.runs(image, 1, 9, 65464), 65464) == packets(image, 1, 9, 65464, 0)


def test_views_cannot_be_written_through(images: tuple[ImageStore, dict[int, Image]]) -> None:
    view = Frames(images[0]).view(sized(images, 1000), 1, 512)
    with pytest.raises(TypeError):
        view[0] = 1


def test_a_file_cut_short_is_reported_and_never_padded(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(content(200_000))
    image = store.lookup("boot")
    assert image is not None
    frames = Frames(store)
    before = bytes(frames.view(image, 1, 512))
    with open(root / "boot", "r+b") as cut:
        cut.truncate(100_000)
    assert bytes(frames.view(image, 1, 512)) == before
    with pytest.raises(ImageChanged) as caught:
        frames.view(image, 300, 512)
    assert caught.value.image is image


def test_a_file_overwritten_in_place_gives_no_second_content(root: Path, store: ImageStore) -> None:
    (root / "boot").write_bytes(b"old" * 100_000)
    image = store.lookup("boot")
    assert image is not None
    frames = Frames(store)
    frames.view(image, 1, 512)
    with open(root / "boot", "r+b") as same:
        same.write(b"new" * 100_000)
    with pytest.raises(ImageChanged):
        list(frames.runs(image, 1, 10_000, 512))
