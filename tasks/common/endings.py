"""Endings of the names of files that are pictures, hold a dataset or list one, in lower case."""

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
TABLES = (".csv", ".tsv", ".parquet")

PICTURES = """
    .jpg .jpeg .jpe .jfif .jif .jps .mpo .png .apng .webp .bmp .dib .gif .tif .tiff
    .heic .heics .heif .heifs .hif .avif .avifs .jp2 .j2k .j2c .jpc .jpf .jpx .jxl .jxr .wdp .hdp
    .tga .icb .vda .vst .ppm .pgm .pbm .pnm .pam .pfm .pcx .dds .exr .hdr .psd .xcf .ico .cur .icns .sgi .qoi .dcm
    .dng .raw .cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .orf .rw2 .rwl .raf .pef .srw .3fr .iiq .kdc .mrw .x3f
"""
# A file with one of these endings was meant to be a picture, so where it is none, that is reported.
IMAGES = frozenset(PICTURES.split())


def has_image_ending(name: str) -> bool:
    """Say whether a file with this name or path is meant to be a picture."""
    return name[name.rfind(".") :].lower() in IMAGES
