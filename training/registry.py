"""Where trained models are kept: MLflow on SQLite and plain files under SMOKE_HOME/mlflow.

Nothing here speaks to the network. What is registered is a bundle's folder (LightGBM text and JSON), never a pickle.
"""

import logging
import os
import tempfile
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.bundle import Bundle, load, save
from models.lot_features import feature_signature
from training.errors import TrainingError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

MODEL_NAME = "smoke-bid-rigging"
EXPERIMENT = "smoke-bid-rigging"
CHAMPION, CHALLENGER = "champion", "challenger"
ARTIFACT = "bundle"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Registry:
    """The registry of one home."""

    home: Path

    @property
    def folder(self) -> Path:
        """Return the folder with database and artefacts."""
        return self.home / "mlflow"

    def register(
        self, bundle: Bundle, params: Mapping[str, str | float], metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> Bundle:
        """Log a run, register its bundle as a new version and make that the challenger.

        Args:
            bundle: the model; its ``version`` is replaced by the registry's.
            params: what it was trained with.
            metrics: figures, by name.
            tags: what else is known of the run.

        Returns:
            The bundle with the registry's version.
        """
        stated = {
            "feature_signature": feature_signature(bundle.features),
            "code_version": bundle.code_version,
            **{f"data_version.{name}": str(version) for name, version in bundle.data_versions.items()},
            **tags,
        }
        with self._client() as client:
            experiment = client.get_experiment_by_name(EXPERIMENT)
            number = (
                client.create_experiment(EXPERIMENT, artifact_location=self._artifacts())
                if experiment is None
                else experiment.experiment_id
            )
            run = client.create_run(number, tags=stated)
            run_id = run.info.run_id
            for name, value in params.items():
                client.log_param(run_id, name, value)
            for name, value in metrics.items():
                client.log_metric(run_id, name, value)
            with tempfile.TemporaryDirectory() as scratch:
                save(bundle, Path(scratch) / ARTIFACT)
                client.log_artifacts(run_id, str(Path(scratch) / ARTIFACT), ARTIFACT)
            client.set_terminated(run_id)
            if not client.search_registered_models(f"name = '{MODEL_NAME}'"):
                client.create_registered_model(MODEL_NAME)
            source = f"{run.info.artifact_uri}/{ARTIFACT}"
            made = client.create_model_version(MODEL_NAME, source, run_id, tags=stated)
            client.set_registered_model_alias(MODEL_NAME, CHALLENGER, str(made.version))
        return replace(bundle, name=MODEL_NAME, version=str(made.version))

    def versions(self) -> dict[str, list[str]]:
        """Return the aliases of each registered version, in order of registration."""
        if not self._database().is_file():
            return {}
        with self._client() as client:
            if not client.search_registered_models(f"name = '{MODEL_NAME}'"):
                return {}
            aliases = client.get_registered_model(MODEL_NAME).aliases
            found = sorted(int(one.version) for one in client.search_model_versions(f"name = '{MODEL_NAME}'"))
        return {
            str(version): sorted(name for name, of in aliases.items() if str(of) == str(version)) for version in found
        }

    def bundle(self, version: str) -> Bundle:
        """Read a registered version.

        Raises:
            TrainingError: there is no such version.
            BundleError: its files are incomplete or altered.
            ModelMismatchError: it was trained on other features than the code measures.
        """
        self._known(version)
        with self._client() as client, tempfile.TemporaryDirectory() as scratch:
            run_id = str(client.get_model_version(MODEL_NAME, version).run_id)
            folder = client.download_artifacts(run_id, ARTIFACT, scratch)
            return replace(load(Path(folder)), name=MODEL_NAME, version=version)

    def make_champion(self, version: str) -> None:
        """Point the alias champion at a version; it stops being the challenger.

        Raises:
            TrainingError: there is no such version.
        """
        aliases = self._known(version)
        with self._client() as client:
            client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
            if CHALLENGER in aliases:
                client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)

    def _known(self, version: str) -> list[str]:
        versions = self.versions()
        if version not in versions:
            named = ", ".join(versions) or "none; run smoke train first"
            message = f"VERSION is {version!r}, which {MODEL_NAME} does not have. Mend: name one of: {named}."
            raise TrainingError(message)
        return versions[version]

    def _database(self) -> Path:
        return self.folder.resolve() / "mlflow.db"

    def _artifacts(self) -> str:
        return (self.folder.resolve() / "artifacts").as_uri()

    @contextmanager
    def _client(self) -> Generator["MlflowClient"]:
        """Open the registry; MLflow's own chatter and its libraries' deprecations are kept from the terminal."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mlflow.tracking import MlflowClient

            for name in ("mlflow", "alembic"):
                logging.getLogger(name).setLevel(logging.ERROR)
            address = f"sqlite:///{self._database()}"
            yield MlflowClient(tracking_uri=address, registry_uri=address)
