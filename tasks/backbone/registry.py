"""Every architecture that can be grafted onto, one row each."""

from typing import Literal, NamedTuple

from tasks.common.errors import GraftError, did_you_mean

Mode = Literal["caffe", "tf", "torch"]


class Architecture(NamedTuple):
    """A row: the constructor's name in keras.applications, its input size in pixels, its preprocessing, its weights.

    `file` is the weights' path below keras.applications' host, `md5` the hash published with it; MobileNet has none.
    """

    name: str
    input_size: int
    mode: Mode
    file: str
    md5: str | None


ARCHITECTURES = {
    row.name: row
    for row in (
        Architecture(
            "DenseNet121",
            224,
            "torch",
            "densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "30ee3e1110167f948a6b9946edeeb738",
        ),
        Architecture(
            "DenseNet169",
            224,
            "torch",
            "densenet/densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "b8c4d4c20dd625c148057b9ff1c1176b",
        ),
        Architecture(
            "DenseNet201",
            224,
            "torch",
            "densenet/densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "c13680b51ded0fb44dff2d8f86ac8bb1",
        ),
        Architecture(
            "InceptionResNetV2",
            299,
            "tf",
            "inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "d19885ff4a710c122648d3b5c3b684e4",
        ),
        Architecture(
            "InceptionV3",
            299,
            "tf",
            "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "bcbd6486424b2319ff4ef7d526e38f63",
        ),
        Architecture("MobileNet", 224, "tf", "mobilenet/mobilenet_{alpha}_224_tf_no_top.h5", None),
        Architecture("NASNetLarge", 331, "tf", "nasnet/NASNet-large-no-top.h5", "d81d89dc07e6e56530c4e77faddd61b5"),
        Architecture("NASNetMobile", 224, "tf", "nasnet/NASNet-mobile-no-top.h5", "1ed92395b5b598bdda52abe5c0dbfd63"),
        Architecture(
            "ResNet50",
            224,
            "caffe",
            "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "4d473c1dd8becc155b73f8504c6f6626",
        ),
        Architecture(
            "VGG16",
            224,
            "caffe",
            "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "6d6bbae143d832006294945121d1f1fc",
        ),
        Architecture(
            "VGG19",
            224,
            "caffe",
            "vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "253f8cb515780f3b799900260a226db6",
        ),
        Architecture(
            "Xception",
            299,
            "tf",
            "xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "b0042744bf5b25fce3cb969f33bebb97",
        ),
    )
}


def architecture(name: str) -> Architecture:
    """Return the row of that name; raises GraftError with the nearest match."""
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        message = f"backbone.name '{name}' is unknown.{did_you_mean(name, ARCHITECTURES)} Known: {known}."
        raise GraftError(message)
    return ARCHITECTURES[name]
