"""A flow that does nothing, on a temporary server: the cost of Prefect itself."""

from prefect import flow


@flow
def nothing() -> None:
    """Do nothing."""


if __name__ == "__main__":
    nothing()
