"""All variants by the names that `export.variants` gives them."""

from tasks.export.variants.fixed import FIXED, FIXED_FLOAT
from tasks.export.variants.float16 import FLOAT16
from tasks.export.variants.int8 import INT8
from tasks.export.variants.litert import LITERT
from tasks.export.variants.variant import Variant

VARIANTS: dict[str, Variant] = {
    "fixed": FIXED,
    "fixed_float": FIXED_FLOAT,
    "int8": INT8,
    "float16": FLOAT16,
    "litert": LITERT,
}
