"""Serves a page on which photographs are painted from a browser.

python launch/app.py [--port=8000] [--models=inknet,my_quicknet.safetensors]

Open the address that it prints. It serves only this machine unless --host says otherwise, works
without internet, and deletes all pictures when it ends.
"""

from absl import flags

from bnnjax import cli
from bnnjax.app.config import AppConfig

FLAGS = flags.FLAGS
flags.DEFINE_string("host", "127.0.0.1", "address to listen at; 0.0.0.0 serves the whole network")
flags.DEFINE_integer("port", 8000, "port to listen at; 0 for a free one", 0, 65535)
cli.define_fields(AppConfig)


def main() -> None:
    try:
        from bnnjax.app import server
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the page needs the extra 'app': pip install 'bnnjax[app]'"
        ) from None
    config = AppConfig(**cli.given(AppConfig.__dataclass_fields__))
    if not server.is_local(FLAGS.host):
        print("Everyone who reaches this machine can use the page; Ctrl-C ends it.")
    server.serve(config, host=FLAGS.host, port=FLAGS.port, announce=_announce)


def _announce(address: str) -> None:
    print(f"The page is at {address} (Ctrl-C ends it)", flush=True)


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
