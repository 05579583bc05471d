"""The BentoML entry point: ``bentoml serve serving.service:SmokeIndex``."""

import os
from functools import cache

import bentoml
from starlette.applications import Starlette

from serving.routes import Front, application
from serving.scoring import Scorer
from serving.settings import settings_from


@cache
def lean() -> Starlette:
    """Return this process's lean application; the environment is read here, once."""
    settings = settings_from(os.environ)
    return application(Scorer(settings), settings)


@bentoml.service(name="smoke_index", workers=1)
class SmokeIndex:
    """冒烟指数: scores and explanations. The addresses are those of ``serving.routes``, set in front of BentoML's."""


SmokeIndex.add_asgi_middleware(Front, lean=lean)  # pyright: ignore[reportArgumentType]
