"""What Prefect itself costs: a flow that does nothing, on a temporary server."""

from prefect import flow


@flow
def nothing() -> None:
    """Do nothing."""


if __name__ == "__main__":
    nothing()
