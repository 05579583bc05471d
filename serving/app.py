"""What ``smoke serve`` runs: the lean addresses ahead of the BentoML application, one worker."""

from serving.routes import Front
from serving.service import SmokeIndex, lean

app = Front(SmokeIndex.to_asgi(), lean=lean)
