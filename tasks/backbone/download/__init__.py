"""Downloads of pretrained weights over HTTP into a checked cache."""
