"""Everything put together: a reference, limits and an address become a server."""

from collections.abc import Callable

from pipeline.serving.access import Access
from pipeline.serving.app import make_app
from pipeline.serving.replicas.limits import Limits
from pipeline.serving.replicas.loader import Loader
from pipeline.serving.replicas.metrics import Metrics
from pipeline.serving.replicas.service import Service
from pipeline.serving.request.disclosure import Disclosure
from pipeline.serving.server import Address, address_of, listen, serve


def run(  # noqa: PLR0913 (each is an option of the user)
    loader: Loader,
    limits: Limits,
    address: Address,
    access: Access,
    disclosure: Disclosure,
    *,
    poll_s: float,
    say: Callable[[str], None],
) -> int:
    """Serve until a signal comes; return the exit code.

    Args:
        loader: What is served.
        limits: Of requests.
        address: Where.
        access: Who may ask.
        disclosure: What goes out of answers.
        poll_s: Between two looks at where an alias leads.
        say: Prints.

    Raises:
        ParamsError: There is no such host.
        MachineError: The address is taken.
        PipelineError: There is no such model, or it cannot be loaded.
    """
    taken = listen(address)
    metrics = Metrics()
    service = Service(loader, poll_s=poll_s if loader.is_moving else None, metrics=metrics)

    def ready() -> None:
        replica = service.replica
        url = address_of(taken)
        say(
            f"{url} serves {replica.identity.model} version {replica.identity.version} "
            f"({loader.what}); how to ask: {url}/docs (Ctrl-C ends it)\n"
        )

    app = make_app(service, limits, access, metrics, disclosure)
    return serve(app, service, taken, timeout_s=limits.timeout_s, ready=ready)
