import shutil
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner, Result

from flows import cli
from flows.data import sources
from tasks.common import params
from tasks.common.errors import GraftError
from tests.flows.conftest import write_classes

ENDINGS = ".zip, .tar, .tar.gz, .tgz, .tar.bz2, .tbz2, .tar.xz or .txz"


@pytest.fixture
def project(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into a repository of small stages."""
    monkeypatch.chdir(workspace)
    return workspace


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve the folder `served` over HTTP; yield its address."""
    (tmp_path / "served").mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "served"))) as http_server:
        Thread(target=http_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()


def add(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["data", "add", *arguments])


def chosen(root: Path) -> tuple[str, str | None]:
    dataset = params.load(root / "params.yaml").dataset
    return dataset.source, dataset.table


def test_a_folder_elsewhere_is_copied_below_data_and_versioned(project: Path, tmp_path: Path) -> None:
    write_classes(tmp_path / "My pets")
    result = add(str(tmp_path / "My pets"))
    assert result.exit_code == 0, result.output
    assert chosen(project) == ("data/My-pets", None)
    assert (project / "data" / "My-pets" / "cat" / "0.png").is_file()
    assert (project / "data" / "My-pets.dvc").is_file()
    assert result.stdout.endswith(
        "dataset.source: data/My-pets\n"
        "next: git add data/My-pets.dvc data/.gitignore params.yaml\n"
        "      graft data check\n"
        "      graft train\n"
    )


def test_a_table_in_the_repository_is_versioned_with_its_folder_where_it_lies(project: Path) -> None:
    write_classes(project / "pets")
    (project / "pets" / "labels.csv").write_text("path,label\ncat/0.png,cat\ndog/0.png,dog\n")
    result = add("pets/labels.csv")
    assert result.exit_code == 0, result.output
    assert chosen(project) == ("pets", "labels.csv")
    assert (project / "pets.dvc").is_file()


def test_an_archive_is_downloaded_and_versioned_as_one_file(project: Path, tmp_path: Path, server: str) -> None:
    write_classes(tmp_path / "pets")
    with zipfile.ZipFile(tmp_path / "served" / "pets.ZIP", "w") as archive:
        for file in sorted((tmp_path / "pets").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path))
    result = add(f"{server}/pets.ZIP", "--name", "animals")
    assert result.exit_code == 0, result.output
    assert chosen(project) == ("data/animals.zip", None)
    assert f"{server}/pets.ZIP" in (project / "data" / "animals.zip.dvc").read_text()


def test_an_address_without_a_file_ends_in_dvcs_message_and_leaves_the_params(project: Path, server: str) -> None:
    before = (project / "params.yaml").read_bytes()
    result = add(f"{server}/nothing.zip")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"{server}/nothing.zip' does not exist" in result.stderr
    assert (project / "params.yaml").read_bytes() == before


def test_a_folder_in_a_bucket_is_downloaded_and_versioned(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket_server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    bucket_server.start()
    address = "http://{}:{}".format(*bucket_server.get_host_and_port())
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        client = boto3.client("s3")
        client.create_bucket(Bucket="photos")
        for label in ("cat", "dog"):
            client.put_object(Bucket="photos", Key=f"pets/{label}/1.png", Body=label.encode())
        result = add("s3://photos/pets")
    finally:
        bucket_server.stop()
    assert result.exit_code == 0, result.output
    assert chosen(project) == ("data/pets", None)
    assert [(project / "data" / "pets" / label / "1.png").read_text() for label in ("cat", "dog")] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        pytest.param(
            "nowhere",
            "nowhere does not exist. Expected a folder, a table (.csv, .tsv or .parquet) or an archive.",
            id="nothing",
        ),
        pytest.param(
            "params.yaml",
            "params.yaml is no dataset. Expected a folder, a table (.csv, .tsv or .parquet) or an archive "
            f"({ENDINGS}).",
            id="another file",
        ),
        pytest.param(
            "ftp://host/a.zip",
            "ftp:// cannot be read. Expected a path or an address with https, http or s3.",
            id="another scheme",
        ),
        pytest.param(
            "https://host/photos",
            f"https://host/photos names no archive. Expected a file that ends in {ENDINGS}: folders cannot be listed.",
            id="a page",
        ),
        pytest.param(
            "https://me:secret@host/a.zip",
            "the address holds a user name or a password, which would be written into a file under version control. "
            "Leave them out; `dvc remote modify` keeps credentials outside of git.",
            id="credentials",
        ),
    ],
)
def test_a_location_that_is_no_dataset_is_refused_in_one_line(project: Path, location: str, message: str) -> None:
    result = add(location)
    assert (result.exit_code, result.stderr) == (1, f"error: {message}\n")
    assert chosen(project) == ("data/digits", None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "../up", "--name is '../up'; expected letters, digits, dots, hyphens and underscores.", id="leaves data"
        ),
        pytest.param(
            "taken",
            "data/taken exists already. Choose another --name, or remove it with `dvc remove --outs data/taken.dvc`.",
            id="taken",
        ),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_before_anything_is_copied(
    project: Path, tmp_path: Path, name: str, message: str
) -> None:
    write_classes(tmp_path / "pets")
    (project / "data" / "taken").mkdir(parents=True)
    with pytest.raises(GraftError) as caught:
        sources.add(str(tmp_path / "pets"), name, None, project, print)
    assert str(caught.value) == message


def test_a_source_outside_the_repository_is_used_where_it_lies_with_a_notice(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "photos"
    shutil.copytree(project / "photos", outside)
    notice = sources.outside_notice(str(outside), project)
    assert notice is not None
    assert notice.startswith(f"{outside} lies outside the repository. DVC notices when its files change")
    assert notice.endswith(f"`graft data add {outside}` copies them here and versions them.")
    assert sources.outside_notice("photos", project) is None
    assert sources.outside_notice(str(project / "photos"), project) is None
