"""Small valid files of every format that is read, made in memory, except for HEIC, which nothing here can encode."""

from base64 import b64decode
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

y, x = np.mgrid[:48, :64]
PICTURE = Image.fromarray(np.stack([4 * x, 5 * y, 2 * (x + y)], axis=-1).astype(np.uint8))  # the same as in HEIC below
ALPHA = Image.fromarray((4 * x).astype(np.uint8))
LAYER = Image.merge("RGBA", (*PICTURE.split(), ALPHA))
GREY = PICTURE.convert("L")
DEEP = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
FLOATS = Image.fromarray((np.asarray(GREY) / 255).astype(np.float32))

# The first file holds PICTURE, the second LAYER, and the third PICTURE with 10 bits a channel.
HEIC = b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9j"
    "AAAAAERAAAEAAQAAAAABoQABAAAAAAAAAEQAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/Wlw"
    "cnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AA"
    "AAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAA"
    "QAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWB"
    "AgMFhAAAAExtZGF0AAAAQCgBrxmA709FPiD8OJ5zxat77KrWcMvzb26vb96LBVK/d6qYCLnfNZci+mLLdAEdINAKI7sKVfrtrnFW1bU7Q2A="
)
HEIC_LAYER = b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAmttZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9j"
    "AAAAAERAAAIAAQAAAAACjwABAAAAAAAAAEQAAgAAAAAC0wABAAAAAAAAABoAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAA"
    "ABVpbmZlAgAAAAACAABodmMxAAAAAA5waXRtAAAAAAABAAABqmlwcnAAAAGCaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNg"
    "AAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZE"
    "AcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AA"
    "AAACAAAAEHBpeGkAAAAAAwgICAAAAHBodmNDAQQIAAAAn/gAAAAAHvAA/Pz4+AAADwNgAAEAF0ABDAH//wQIAAADAJ/4AAADAAAeugJAYQAB"
    "ACVCAQEECAAAAwCf+AAAAwAAHsCCBBZbq5Ka5sCAAAAMgAAAAwCEYgABAAZEAcFzwIkAAAAOcGl4aQAAAAABCAAAACdhdXhDAAAAAHVybjpt"
    "cGVnOmhldmM6MjAxNTphdXhpZDoxAAAAACBpcG1hAAAAAAAAAAIAAQWBAgMFhAACBYYDB4iEAAAAGmlyZWYAAAAAAAAADmF1eGwAAgABAAEA"
    "AABmbWRhdAAAAEAoAa8ZgO9PRT4g/Diec8Wre+yq1nDL829ur2/eiwVSv3eqmAi53zWXIvpiy3QBHSDQCiO7ClX67a5xVtW1O0NgAAAAFigB"
    "rjPFvPZznSpfIs5oZa27f1zNTDA="
)
HEIC_DEEP = b64decode(
    "AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9j"
    "AAAAAERAAAEAAQAAAAABoAABAAAAAAAAAEUAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/Glw"
    "cnAAAADcaXBjbwAAAHVodmNDAQQIAAAAnbgAAAAAHvAA/P36+gAADwNgAAEAF0ABDAH//wQIAAADAJ24AAADAAAeugJAYQABACpCAQEECAAA"
    "AwCduAAAAwAAHqAggQTZbq5Ka5uAhoMCAAADADIAAAMAAhBiAAEABkQBwXPAiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABA"
    "AAAAQAAAAChjbGFwAAAAQAAAAAEAAAAwAAAAAQAAAAAAAAAC////8AAAAAIAAAAQcGl4aQAAAAADCgoKAAAAGGlwbWEAAAAAAAAAAQABBYEC"
    "AwWEAAAATW1kYXQAAABBKAGvGYDvUEmOkbPw4nnPFq3vsqtZwy/L5JLuGWTQTc9K/d6qYCLE+AF2ZF9KDQ8LX85pBGZXYB/4BtoJyCD9qmg="
)


def encode(image: Image.Image, encoding: str, **options: Any) -> bytes:
    """Return the content of an image file."""
    file = BytesIO()
    image.save(file, encoding, **options)
    return file.getvalue()


def plain_map(image: Image.Image, maximum: int) -> bytes:
    """Return a PGM or PPM file in text, with samples of 0 to `maximum`."""
    values = np.asarray(image).astype(np.int64) * maximum // 255
    magic = "P3" if image.mode == "RGB" else "P2"
    header = f"{magic}\n# a comment\n{image.width} {image.height}\n{maximum}\n"
    return (header + " ".join(map(str, values.ravel().tolist())) + "\n").encode()


def binary_map(image: Image.Image, maximum: int) -> bytes:
    """Return a PGM or PPM file in bytes, with samples of 0 to `maximum`, of 16 bits where they need more than 8."""
    values = np.asarray(image).astype(np.int64) * maximum // 255
    magic = "P6" if image.mode == "RGB" else "P5"
    header = f"{magic} {image.width} {image.height} {maximum}\n"
    return header.encode() + values.astype(">u2" if maximum >= 2**8 else "u1").tobytes()


def multi_picture() -> bytes:
    """Return an MPO file of two pictures, as phones write."""
    return encode(PICTURE, "MPO", save_all=True, append_images=[PICTURE.rotate(180)])


def animation(encoding: str) -> bytes:
    """Return an animation whose first frame is PICTURE."""
    return encode(PICTURE, encoding, save_all=True, append_images=[PICTURE.rotate(180), PICTURE.rotate(90)])


# The name of the format in a manifest, then the file.
VALID_FILES: dict[str, tuple[str, bytes]] = {
    "JPEG": ("JPEG", encode(PICTURE, "JPEG")),
    "JPEG progressive": ("JPEG", encode(PICTURE, "JPEG", progressive=True)),
    "JPEG grey": ("JPEG", encode(GREY, "JPEG")),
    "JPEG CMYK": ("JPEG", encode(PICTURE.convert("CMYK"), "JPEG")),
    "MPO": ("MPO", multi_picture()),
    "PNG": ("PNG", encode(PICTURE, "PNG")),
    "PNG alpha": ("PNG", encode(LAYER, "PNG")),
    "PNG 16 bits": ("PNG", encode(DEEP, "PNG")),
    "PNG palette": ("PNG", encode(PICTURE.convert("P"), "PNG")),
    "PNG animated": ("PNG", animation("PNG")),
    "WEBP": ("WEBP", encode(PICTURE, "WEBP")),
    "WEBP lossless alpha": ("WEBP", encode(LAYER, "WEBP", lossless=True)),
    "WEBP animated": ("WEBP", animation("WEBP")),
    "BMP": ("BMP", encode(PICTURE, "BMP")),
    "BMP palette": ("BMP", encode(PICTURE.convert("P"), "BMP")),
    "GIF": ("GIF", encode(PICTURE, "GIF")),
    "GIF animated": ("GIF", animation("GIF")),
    "TIFF": ("TIFF", encode(PICTURE, "TIFF")),
    "TIFF deflate": ("TIFF", encode(PICTURE, "TIFF", compression="tiff_adobe_deflate")),
    "TIFF LZW": ("TIFF", encode(PICTURE, "TIFF", compression="tiff_lzw")),
    "TIFF JPEG": ("TIFF", encode(PICTURE, "TIFF", compression="jpeg")),
    "TIFF fax": ("TIFF", encode(PICTURE.convert("1"), "TIFF", compression="group4")),
    "TIFF 16 bits": ("TIFF", encode(DEEP, "TIFF")),
    "TIFF floats": ("TIFF", encode(FLOATS, "TIFF")),
    "TIFF pages": ("TIFF", animation("TIFF")),
    "AVIF": ("AVIF", encode(PICTURE, "AVIF", speed=10)),
    "AVIF alpha": ("AVIF", encode(LAYER, "AVIF", speed=10)),
    "HEIF": ("HEIF", HEIC),
    "HEIF alpha": ("HEIF", HEIC_LAYER),
    "HEIF 10 bits": ("HEIF", HEIC_DEEP),
    "JPEG2000": ("JPEG2000", encode(PICTURE, "JPEG2000")),
    "JPEG2000 codestream": ("JPEG2000", encode(PICTURE, "JPEG2000", no_jp2=True)),
    "JPEG2000 alpha": ("JPEG2000", encode(LAYER, "JPEG2000")),
    "JPEG2000 16 bits": ("JPEG2000", encode(DEEP, "JPEG2000")),
    "JPEG2000 tiles": ("JPEG2000", encode(PICTURE, "JPEG2000", tile_size=(16, 16))),
    "PPM": ("PPM", encode(PICTURE, "PPM")),
    "PPM text": ("PPM", plain_map(PICTURE, 255)),
    "PPM 10 bits": ("PPM", binary_map(PICTURE, 1023)),
    "PPM 5 bits": ("PPM", binary_map(PICTURE, 31)),
    "PGM": ("PPM", encode(GREY, "PPM")),
    "PGM 16 bits": ("PPM", binary_map(GREY, 65535)),
    "PGM 12 bits": ("PPM", binary_map(GREY, 4095)),
    "PGM text 12 bits": ("PPM", plain_map(GREY, 4095)),
    "PBM": ("PPM", encode(PICTURE.convert("1"), "PPM")),
    "PFM": ("PPM", encode(FLOATS, "PPM")),
    "TGA": ("TGA", encode(PICTURE, "TGA")),
    "TGA without signature": ("TGA", encode(PICTURE, "TGA")[:-26]),
    "TGA compressed alpha": ("TGA", encode(LAYER, "TGA", rle=True)),
    "TGA palette": ("TGA", encode(PICTURE.convert("P"), "TGA")),
}
