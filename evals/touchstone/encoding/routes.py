"""Routes: the way of a text through a model that has several, and what else its role decides beside its prompt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from touchstone.encoding.prompts import ROLES, Role
from touchstone.errors import ModelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


ROLE_NAMES = {None: "texts that are neither query nor document", "query": "queries", "document": "documents"}
# What the library's own modules may do to queries or to documents alone.
ROLE_SETTINGS = ("query_length", "document_length", "query_expansion")


def roles_of(model: "SentenceTransformer") -> tuple[Role | None, ...]:
    """Return the roles of the texts that a model encodes, None for those that have none: all, but for some Routers."""
    return tuple(role for role in (None, *ROLES) if all(route_of(router, role) for router in routers_of(model)))


def check_role(role: Role | None, roles: Sequence[Role | None]) -> None:
    """Refuse texts in a role that a model has no route for.

    Raises:
        ModelError: saying which routes it has.
    """
    if role not in roles:
        names = " and one for ".join(ROLE_NAMES[other] for other in roles)
        routes = f"a route for {names}" if roles else "routes of other names"
        texts = ROLE_NAMES[role]
        raise ModelError(f"the model has {routes}, and none for {texts}; tasks with such texts cannot be run")


def routers_of(model: "SentenceTransformer") -> list[Any]:
    """Return the modules that take a text one way or another."""
    return [module for module in model if type(module).__name__ == "Router"]


def reader_of(model: "SentenceTransformer", role: Role | None) -> Any:
    """Return what reads texts in a role: it has their tokenizer and their limit."""
    first: Any = model[0]
    return first.sub_modules[route_of(first, role)][0] if first in routers_of(model) else first


def sees_roles(model: "SentenceTransformer") -> bool:
    """Return True if a role may decide more than a prompt: a route, a length, a chat template, a publisher's code."""
    return (
        bool(routers_of(model))
        or not by_library(model)
        or any(
            any(getattr(module, name, None) is not None for name in ROLE_SETTINGS)
            or "message" in getattr(module, "modality_config", ())
            for module in model
        )
    )


def by_library(model: "SentenceTransformer") -> bool:
    """Return True if all modules of a model are the library's own, those of its routes too."""
    routed = [module for router in routers_of(model) for way in router.sub_modules.values() for module in way]
    return all(type(module).__module__.startswith("sentence_transformers.") for module in (*model, *routed))


def route_of(router: Any, role: Role | None) -> str | None:
    """Return the name of the route of a text, None where there is none; the order is the library's own."""
    mapped = router.route_mappings
    ways = [mapped[key] for key in ((role, "text"), (role, None), (None, "text"), (None, None)) if key in mapped]
    ways += [name for name in (role, "text") if name in router.sub_modules]
    return next(iter(ways), router.default_route if role is None else None)
