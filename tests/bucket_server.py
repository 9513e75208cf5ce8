"""A store of buckets on loopback, for as long as a test module takes."""

import contextlib
import importlib.util
import os
from unittest import mock

import pytest

NEEDED = ("s3fs", "moto", "flask", "boto3")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
needs_server = pytest.mark.skipif(
    bool(MISSING), reason=f"pip install '.[s3]' 'moto[server]' brings {', '.join(MISSING)}"
)


@contextlib.contextmanager
def served_bucket():
    """Gives the environment with which a process finds the bucket `s3://bucket`; it is set here."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    found = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        with mock.patch.dict(os.environ, found):
            boto3.client("s3").create_bucket(Bucket="bucket")
            yield found
    finally:
        server.stop()
