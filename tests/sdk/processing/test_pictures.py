"""Decoding pictures: what each kind of file becomes, and what is refused before it costs anything."""

import io
import struct
import time
import zlib

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.processing.pictures import MAX_PIXELS, MAX_SCANS, Picture, check_size, open_picture

Image = pytest.importorskip("PIL.Image")

RED, BLUE = (200, 30, 40), (20, 40, 220)


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def halves(mode="RGB", size=(40, 24)):
    """A picture whose left half is red and whose right half is blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image.quantize(4) if mode == "P" else image.convert(mode)


def pixels_of(data):
    picture = open_picture(data, "input 'image'")
    assert picture.scene.size == picture.scene.model_size == picture.size
    return picture.to_pixels()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_files_without_loss_keep_their_pixels(kind):
    """A picture comes back from a file without loss as RGB bytes (rows, columns, 3)."""
    pixels = pixels_of(encode(halves("P" if kind == "GIF" else "RGB"), kind))
    assert (pixels.shape, pixels.dtype) == ((24, 40, 3), np.uint8)
    assert pixels[5, 3].tolist() == list(RED)
    assert pixels[5, 33].tolist() == list(BLUE)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95, "subsampling": 0}), ("WEBP", {"quality": 95})])
def test_files_with_loss_come_near(kind, options):
    """JPEG and WebP are read, and differ from what was written by little."""
    pixels = pixels_of(encode(halves(), kind, **options))
    assert np.abs(pixels[12, 5].astype(int) - RED).max() <= 6
    assert np.abs(pixels[12, 35].astype(int) - BLUE).max() <= 6


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_pictures_are_turned_upright(kind, orientation):
    """A camera's EXIF orientation is applied: what a viewer shows is what is fed, and the size is that of the upright picture."""
    upright = Image.new("RGB", (48, 32), (250, 250, 250))
    upright.paste((5, 5, 5), (0, 0, 12, 8))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that makes the stored picture of the upright one
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(upright.transpose(Image.Transpose(undo[orientation])), kind, exif=exif)
    pixels = pixels_of(data)
    assert pixels.shape == (32, 48, 3)
    assert pixels[3, 4].max() < 60
    assert min(pixels[3, 40].min(), pixels[28, 4].min(), pixels[28, 40].min()) > 200


def test_grey_becomes_three_equal_channels():
    """A grey picture has its values in each of the three channels."""
    pixels = pixels_of(encode(Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8))))
    assert (pixels == np.arange(48).reshape(6, 8, 1)).all()


def test_of_sixteen_bits_the_higher_byte_is_taken():
    """A grey picture of 16 bits is divided by 256 and not cut off at 255."""
    values = np.array([[0, 255, 256, 0x1234], [0x8000, 0xFEFF, 0xFF00, 0xFFFF]], np.uint16)
    assert pixels_of(encode(Image.fromarray(values)))[..., 0].tolist() == (values >> 8).tolist()


def test_colours_of_sixteen_bits_have_their_higher_byte_too():
    """A PNG of 16 bits in three channels is divided by 256 as well."""
    cv2 = pytest.importorskip("cv2")
    values = np.random.default_rng(6).integers(0, 1 << 16, (4, 5, 3), np.uint16)
    data = cv2.imencode(".png", values[..., ::-1])[1].tobytes()
    assert (pixels_of(data) == values >> 8).all()


def test_what_is_transparent_shows_its_colour():
    """Transparency is left out, and the colour beneath stays, as training code that converts to RGB has it."""
    image = halves("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    assert pixels_of(encode(image))[0, 0].tolist() == list(RED)


def test_palettes_and_cmyk_become_colours():
    """A palette's numbers and CMYK's inks become RGB."""
    assert pixels_of(encode(halves("P")))[0, 0].tolist() == list(RED)
    cmyk = pixels_of(encode(halves("CMYK"), "JPEG", quality=95))
    assert np.abs(cmyk[12, 5].astype(int) - RED).max() <= 8


def test_of_an_animation_the_first_frame_is_taken():
    """A GIF of several frames gives its first."""
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.abs(pixels_of(data)[0, 0].astype(int) - RED).max() <= 2


def test_arrays_are_taken_as_they_are():
    """An array of colours is used without a copy, and a grey one gets three channels."""
    colours = np.zeros((4, 6, 3), np.uint8)
    assert open_picture(colours, "image").content is colours
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    assert (open_picture(grey, "image").to_pixels() == grey[..., None]).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 6, 3), np.float32),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((1, 4, 6, 3), np.uint8),
        np.zeros((0, 6, 3), np.uint8),
        np.zeros(6, np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    """Floats, other channels, a batch, and a picture without pixels are refused by the input's name."""
    with pytest.raises(InputError, match=r"input 'photo': it is "):
        open_picture(array, "input 'photo'")


def test_a_text_is_no_picture():
    """A path or other text is refused with what is expected."""
    with pytest.raises(InputError, match="it is a str, and a picture is expected"):
        open_picture("photo.jpg", "input 'photo'")


def whole_files():
    return {kind: encode(halves("P" if kind == "GIF" else "RGB"), kind) for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_a_file_that_was_cut_off_is_refused(kind):
    """Of each kind of file the first half is refused, and so is its head alone."""
    data = whole_files()[kind]
    for length in (len(data) // 2, 20):
        with pytest.raises(InputError, match=r"input 'photo': it is"):
            open_picture(data[:length], "input 'photo'")


@pytest.mark.parametrize("data", [b"", b"no picture", b"%PDF-1.7 " + bytes(200), b"<svg xmlns='http://www.w3.org/2000/svg'/>", bytes(5000)])
def test_what_is_no_picture_is_refused(data):
    """Empty bytes, text, and files of other kinds are refused with the kinds that are read."""
    with pytest.raises(InputError, match=r"no picture that can be read.*JPEG, PNG, BMP, GIF, WebP or TIFF"):
        open_picture(data, "input 'photo'")


def test_formats_that_nobody_needs_are_not_opened():
    """Pillow reads many more formats, whose readers a stranger shall not reach."""
    with pytest.raises(InputError, match="no picture"):
        open_picture(encode(halves(), "PPM"), "input 'photo'")


def test_damage_never_crashes():
    """Files with bytes overwritten at random end in a picture or an InputError, never in another error."""
    rng = np.random.default_rng(5)
    for data in whole_files().values():
        for _ in range(25):
            broken = bytearray(data)
            for place in rng.integers(0, len(data), 4):
                broken[place] = int(rng.integers(256))
            try:
                assert open_picture(bytes(broken), "input 'photo'").to_pixels().dtype == np.uint8
            except InputError as error:
                assert "input 'photo'" in str(error)


def png_that_claims(width, height):
    """A PNG of a hundred bytes whose header promises *width* x *height* grey pixels."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(20_000, 10_000), (100_000, 100_000), (8001, 8000)])
def test_a_bomb_is_refused_by_its_header(width, height):
    """A picture of more than 64 megapixels is refused in a moment, before anything of it is unpacked."""
    started = time.perf_counter()
    with pytest.raises(InputError, match=r"pixels.*Give a smaller picture"):
        open_picture(png_that_claims(width, height), "input 'photo'")
    assert time.perf_counter() - started < 1.0


def test_the_largest_picture_is_still_read_by_its_header():
    """64 megapixels are allowed, and one more row is not."""
    check_size(8000, 8000, "photo")
    with pytest.raises(InputError, match=r"64 megapixels \(8000 x 8001\), and 64 are the most"):
        check_size(8000, 8001, "photo")
    assert MAX_PIXELS == 8000 * 8000


def test_a_jpeg_of_endless_scans_is_refused():
    """A progressive JPEG that asks for hundreds of passes over its pixels is refused before the first."""
    data = encode(halves(size=(640, 480)), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    with pytest.raises(InputError, match=rf"JPEG of \d+ scans, and {MAX_SCANS} are the most"):
        open_picture(data[:start] + scan * 400 + b"\xff\xd9", "photo")
    assert open_picture(data, "photo").size == (640, 480)


def test_floats_have_no_range():
    """A TIFF of floats is refused, since nobody knows what its white is."""
    with pytest.raises(InputError, match="floats, which have no range"):
        open_picture(encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "photo")


def test_a_picture_changes_hands_without_loss():
    """What Pillow holds and what numpy holds become each other with the same pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    picture = open_picture(pixels, "photo")
    again = Picture(picture.to_image(), picture.scene)
    assert (again.to_pixels() == pixels).all()
    assert again.to_image() is again.content
