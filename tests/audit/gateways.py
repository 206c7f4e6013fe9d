"""The real program, served to be besieged: what a client heard of is written down as acknowledged."""

import http.client
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway import keys as key_files
from tests import world
from tests.audit.victims import Site
from tests.e2e import servers

CLIENT = "fbi"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway in processes of its own, and a client's token."""

    site: Site
    server: servers.Server
    token: str

    def ask(self, limit: int) -> int:
        """Search; return the status. Records come with an entry, and a refusal brings none."""
        status, headers, body = self.server.search(self.token, "criminal-investigation", limit=limit)
        entry = headers.get("Log-Entry")
        if entry is not None:
            self.site.tell("entry", entry)
        assert (b'"records"' in body) == (status == 200)
        assert entry is not None or status == 503
        return status

    def checkpoint(self) -> int:
        """Return how many leaves the published checkpoint covers."""
        return int(self.server.ask("GET", "/log/checkpoint")[2].split(b"\n")[1])

    def limit_files(self, size: int) -> None:
        """Let no file that it writes grow beyond so many bytes."""
        leader = self.server.process.pid
        workers = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
        for process in workers:
            resource.prlimit(int(process), resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    @contextmanager
    def besieged(self, threads: int) -> Iterator[list[int]]:
        """Ask from several threads until the block is left; yield the statuses of the answers, as they come."""
        answers: list[int] = []
        over = threading.Event()

        def ask() -> None:
            number = 0
            while not over.is_set():
                number += 1
                try:
                    answers.append(self.ask(1 + number % 20))
                except (OSError, http.client.HTTPException, AssertionError) as error:
                    answers.append(-1)
                    raise error from None

        asking = [threading.Thread(target=ask) for _ in range(threads)]
        for thread in asking:
            thread.start()
        try:
            yield answers
        finally:
            over.set()
            for thread in asking:
                thread.join(60)


@contextmanager
def serving(site: Site) -> Iterator[Gateway]:
    """Prepare a gateway over the site's databases, and serve it until the block is left."""
    bind = f"127.0.0.1:{servers.free_port()}"
    chosen = world.settings(site.databases, site.keys, bind=bind, issuer=f"http://{bind}")
    world.prepare(chosen)
    key = ec.generate_private_key(ec.SECP256R1())
    with composition.open_log(chosen) as log:
        world.register(log.store, CLIENT, key_files.public_pem(key), world.agreement(CLIENT, "FBI"))
    command = [sys.executable, "-m", "gateway", "serve"]
    with servers.running(command, world.given(chosen), site.journal.with_name("serve")) as one:
        yield Gateway(site, one, one.token(CLIENT, key))
