"""From labelled files to a served model: train, register, promote, load, score, explain."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import smoke
from features.tables.results import LabelFeedback
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore
from features.tables.tendering import Bid
from models.bundle import Bundle, ModelMismatchError, load
from models.explain import contributions
from models.lot_features import feature_list, measured_lots
from serving.settings import Settings
from tests.labelled_auctions import AS_OF, LABELLED_AT, MARKETS, load_auctions
from training.dataset import check_trainable, labelled_lots
from training.errors import TrainingError
from training.fit import CANDIDATES, CONTROL, WINNER, train
from training.judge import RULES, judge
from training.promote import promote_version
from training.registry import Registry
from training.retrain import labelled_from, retrain
from training.splits import MARKET_OUT, RINGS, all_splits

DATE = "2026-06-30"
FAST = next(one for one in CANDIDATES if one.name == "dispersion_d3")
PREDICTED = {f"{market}/works" for market in MARKETS}


@pytest.fixture(scope="module")
def home(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with auctions and one promoted model, of this module's own."""
    return Path(shutil.copytree(trained_home, tmp_path_factory.mktemp("training") / "home", symlinks=True))


@pytest.fixture(scope="module")
def champion(home: Path) -> Bundle:
    return load(Settings(home=home).champion)


@pytest.fixture(scope="module")
def lots(home: Path) -> pl.DataFrame:
    return measured_lots(read_source_tables(TableStore(home)), AS_OF)


def test_the_promoted_model_is_the_registrys_champion(home: Path, champion: Bundle) -> None:
    assert Registry(home).versions()[champion.version] == ["champion"]
    assert champion.data_versions["bid"] == TableStore(home).version(Bid)
    assert Registry(home).bundle(champion.version).model_text == champion.model_text


def test_it_answers_in_its_markets_only_and_ranks_the_rings_first(champion: Bundle, lots: pl.DataFrame) -> None:
    scored = lots.join(champion.predict(lots), on="lot_id").with_columns(
        market=pl.concat_str("region_code", pl.lit("/"), "object_type")
    )

    answered = scored.filter(pl.col("probability").is_not_null())
    assert set(answered["market"]) == set(champion.calibrations) == PREDICTED
    assert scored.filter(pl.col("region_code") == "C300")["probability"].null_count() == 150
    ring = pl.col("lot_id").str.tail(3).cast(pl.Int64) % 5 < 2
    assert answered.filter(ring)["probability"].mean() > 0.7  # type: ignore[operator]
    assert answered.filter(~ring)["probability"].mean() < 0.3  # type: ignore[operator]


def test_its_contributions_sum_to_its_log_odds(champion: Bundle, lots: pl.DataFrame) -> None:
    sums = contributions(champion, lots).group_by("lot_id").agg(total=pl.col("phi").sum() + pl.col("base").first())

    both = sums.join(champion.predict(lots), on="lot_id")
    assert both.height == 300
    assert float((both["total"] - both["log_odds"]).abs().max()) < 1e-9  # type: ignore[arg-type]


def test_no_model_that_can_be_chosen_reads_what_some_publishers_leave_out() -> None:
    assert all({*WINNER, *CONTROL} <= one.left_out for one in CANDIDATES)


def test_features_that_a_candidate_leaves_out_are_in_no_tree(champion: Bundle) -> None:
    splits = dict(zip(champion.feature_ids, champion.booster.feature_importance("split"), strict=True))

    assert {name for name, count in splits.items() if count} <= set(champion.feature_ids) - FAST.left_out
    assert sum(splits.values()) > 0


def test_closer_prices_never_lower_the_score_of_a_monotone_candidate(champion: Bundle, lots: pl.DataFrame) -> None:
    tighter = lots.with_columns(pl.col("SI-022", "SI-023", "losing_cv") * 0.5)

    rise = champion.predict(tighter)["log_odds"] - champion.predict(lots)["log_odds"]
    assert float(rise.drop_nulls().min()) >= -1e-12  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_text_whatever_the_order_and_another_seed_another(home: Path) -> None:
    lots = labelled_from(home, AS_OF, None).answerable
    shuffled = lots.sample(fraction=1, shuffle=True, seed=1)

    first, again, other = train(lots, 7, [FAST]), train(shuffled, 7, [FAST]), train(lots, 8, [FAST])

    assert first.model_text == again.model_text
    assert first.calibrations == again.calibrations
    assert first.model_text != other.model_text


def test_a_second_model_is_the_challenger_until_it_is_promoted(
    home: Path, champion: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--as-of", DATE, "--candidate", FAST.name, "--seed", "9", "--home", str(home)]
    assert smoke.run([*command, "--format", "json"]) == 0
    stated = json.loads(capsys.readouterr().out)

    assert stated["alias"] == "challenger"
    assert stated["held_out_by"] == {f"{market}/works": "rings" for market in MARKETS}
    assert Registry(home).versions() == {champion.version: ["champion"], stated["version"]: ["challenger"]}
    assert load(Settings(home=home).champion).version == champion.version

    assert smoke.run(["promote", stated["version"], "--home", str(home)]) == 0
    assert Registry(home).versions() == {champion.version: [], stated["version"]: ["champion"]}
    assert load(Settings(home=home).champion).version == stated["version"]
    assert promote_version(home, champion.version).version == champion.version
    assert load(Settings(home=home).champion).model_text == champion.model_text


def test_what_is_kept_are_plain_files(home: Path) -> None:
    kept = {path.name for folder in ("models", "mlflow") for path in (home / folder).rglob("*") if path.is_file()}

    assert kept == {"mlflow.db", "bundle.json", "model.txt"}
    assert (home / "models" / "champion").is_symlink()
    assert not (home / "models" / "champion").readlink().is_absolute()


def test_a_model_is_not_promoted_when_the_features_have_changed(
    home: Path, champion: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = feature_list()
    monkeypatch.setattr("models.bundle.feature_list", lambda: (replace(first, version=9), *others))

    with pytest.raises(ModelMismatchError, match="v1 -> v9"):
        promote_version(home, champion.version)


def test_a_folder_in_the_place_of_the_link_is_left_alone(home: Path, champion: Bundle, tmp_path: Path) -> None:
    (tmp_path / "mlflow").symlink_to(home / "mlflow")
    (tmp_path / "models" / "champion").mkdir(parents=True)

    with pytest.raises(TrainingError, match="is a folder, not a link"):
        promote_version(tmp_path, champion.version)


@pytest.mark.parametrize("version", ["99", "two"])
def test_an_unknown_version_is_refused_with_the_known_ones(
    home: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke.run(["promote", version, "--home", str(home)]) == 1
    assert "name one of: 1" in capsys.readouterr().err


def test_judging_gives_each_figure_of_each_split_with_its_reason(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "--as-of", DATE, "--candidate", FAST.name, "--resamples", "50", "--home", str(home)]
    assert smoke.run([*command, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)

    figures = {(row["split"], row["market"], row["scorer"], row["metric"]): row for row in found["figures"]}
    assert len(figures) == 3 * 2 * 4 * 5
    assert all((row["value"] is None) == (row["reason"] is not None) for row in figures.values())
    for split in ("later_dates", "unseen_rings", "market_left_out"):
        row = figures[split, "A100/works", "model", "roc_auc"]
        assert row["value"] > 0.8
        assert row["low"] <= row["value"] <= row["high"]
    assert figures["later_dates", "A100/works", "rule_score", "brier"]["reason"] == "no_calibrated_probability"
    assert [row["coverage"] for row in found["coverage"]] == [1.0, 1.0]
    assert {row["candidate"] for row in found["choices"]} == {FAST.name}


def test_judging_prints_tables_for_people_and_rows_for_programs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "--as-of", DATE, "--candidate", FAST.name, "--resamples", "0", "--home", str(home)]
    assert smoke.run([*command, "--no-leave-market-out"]) == 0
    assert "unseen rings" in capsys.readouterr().out
    assert smoke.run([*command, "--no-leave-market-out", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("split,market,scorer,metric,value,low,high,n,n_positive,n_folds,reason")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_without_outcomes_the_mend_is_named(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_auctions(tmp_path / "home", tmp_path / "delivery", labels="none")

    assert smoke.run([command, "--as-of", DATE, "--home", str(tmp_path / "home")]) == 1
    error = capsys.readouterr().err
    assert "label_feedback" in error
    assert "Mend" in error


def test_a_model_that_ranks_no_better_than_chance_is_not_registered(tmp_path: Path) -> None:
    load_auctions(tmp_path / "home", tmp_path / "delivery", labels="shuffled")

    with pytest.raises(TrainingError, match=r"more of unseen lots than chance .* nothing was registered"):
        retrain(tmp_path / "home", AS_OF, candidates=[FAST])
    assert Registry(tmp_path / "home").versions() == {}


def test_the_simplest_of_equally_good_candidates_is_taken(home: Path) -> None:
    lots = labelled_from(home, AS_OF, None).answerable

    trained = train(lots, 7, [FAST, replace(FAST, name="the same again")])

    assert trained.candidate is FAST
    assert trained.choices["score"].n_unique() == 1
    assert trained.choices["chosen"].to_list() == [True, False]


def test_lots_on_which_no_rule_speaks_rank_equal(home: Path) -> None:
    lots = labelled_from(home, AS_OF, None).frame
    silent = lots.select("lot_id", rule_score=pl.lit(None, pl.Float64))

    found = judge(lots, all_splits(lots, [MARKET_OUT]), silent, seed=7, candidates=[FAST], n_resamples=5)

    rules = found.figures.filter((pl.col("scorer") == RULES) & (pl.col("split") == MARKET_OUT))
    assert rules.filter(pl.col("metric") == "roc_auc")["value"].to_list() == [0.5, 0.5]
    assert set(found.figures.filter(pl.col("split") == RINGS)["reason"]) == {"not_parted"}


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (pl.col("y") == 1, "are confirmed; a model needs both outcomes"),
        (pl.col("y") == 0, "are cleared; a model needs both outcomes"),
        (pl.col("lot_id").str.contains("[02]$"), "No market has 20 confirmed and 20 cleared"),
        (pl.lit(value=False), "No labelled lot has"),
    ],
)
def test_too_little_to_learn_from_is_said_clearly(home: Path, keep: pl.Expr, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        check_trainable(labelled_from(home, AS_OF, None).answerable.filter(keep))


def test_the_latest_outcome_of_a_lot_counts_and_later_ones_do_not(home: Path) -> None:
    source = read_source_tables(TableStore(home))
    labels = (
        source[LabelFeedback]
        .filter(pl.col("subject_id").is_in(["A100-000", "A100-005", "A100-010"]))
        .collect()
        .sort("subject_id")
    )
    word = pl.lit("cleared").cast(labels.schema["label"])
    earlier, later = LABELLED_AT.replace(month=5), AS_OF.replace(month=7, day=1)
    added = [
        labels[:1].with_columns(label=word, labelled_at=pl.lit(later), label_id=pl.lit("x")),
        labels[1:2].with_columns(label=word, labelled_at=pl.lit(earlier), label_id=pl.lit("y")),
        labels[2:].with_columns(
            label=pl.lit("unknown").cast(labels.schema["label"]), labelled_at=pl.lit(AS_OF), label_id=pl.lit("z")
        ),
    ]
    both = SourceTables({**source.frames, "label_feedback": pl.concat([labels, *added], how="vertical_relaxed").lazy()})

    found = labelled_lots(both, AS_OF).frame

    assert found.select("lot_id", "y").rows() == [("A100-000", 1), ("A100-005", 1)]
