"""Commands on a finished release: check, compare, publish, score."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from hfaef.cli.embed import embed_release, embedded_lines, short_name
from hfaef.cli.terminal.options import (
    EvalResultsOption,
    FolderArgument,
    ModelIndexOption,
    ReplaceCardOption,
    SetOption,
    TargetArgument,
)
from hfaef.cli.terminal.output import Report, Table
from hfaef.cli.terminal.process import set_up_hub
from hfaef.errors import command_line, count_of

if TYPE_CHECKING:
    from hfaef.evaluation.pooling import On
    from hfaef.release.format.scores import Evaluation, Probe


def check(
    target: TargetArgument,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE", help="Fetch some patches again from this recipe's source, too."
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(metavar="N", min=1, help="With --against: so many, by chance.")
    ] = 10,
    changes: SetOption = None,
) -> Report:
    """Check that a release is whole and loads: hashes, columns, labels, splits, card.

    A note says if the card was edited outside its notes, which is no fault, but stops what writes
    it again. With --against, compare some rows with what the source gives now.
    """
    from hfaef.hub.published import check_published
    from hfaef.hub.target import parse_target
    from hfaef.release.card.render import card_edits
    from hfaef.release.check import check_folder
    from hfaef.release.format.manifest import read_manifest
    from hfaef.release.label_names import learning_gaps

    parsed = parse_target(target)
    notes: tuple[str, ...] = ()
    if isinstance(parsed, Path):
        findings = check_folder(parsed)
        if not findings:
            notes = (*learning_gaps(read_manifest(parsed)), *card_edits(parsed))
    else:
        set_up_hub()
        findings = check_published(parsed)
    compared = 0
    if against and not findings:
        from hfaef.build.source_check import check_sample
        from hfaef.recipe.read import read_recipe

        compared, findings = check_sample(target, read_recipe(against, changes or ()), sample)
    verdict = "all is well"
    if findings:
        verdict = f"not fit to publish, findings: {len(findings)}"
    elif compared:
        same = count_of(compared, "row is", "rows are")
        verdict = f"all is well, and {same} what the source gives"
    rows = [{"path": finding.path, "problem": finding.problem} for finding in findings]
    problems = [str(finding) for finding in findings]
    return Report(
        {"target": target, "findings": rows, "compared": compared, "notes": list(notes)},
        lines=[*problems, f"{target}: {verdict}"],
        values=problems,
        notes=notes,
        exit_code=int(bool(findings)),
    )


def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", help="A release folder, or OWNER/NAME[@VERSION].")
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
) -> Report:
    """Compare two releases: rows, labels, splits, files, bytes to send."""
    from hfaef.hub.open import open_release
    from hfaef.release.diff import compare

    set_up_hub()
    found = compare(open_release(before), open_release(after))
    files = found.files
    lines = [
        *found.lines(),
        (
            f"files: {len(files.added)} new, {len(files.changed)} changed, {len(files.deleted)} gone, "
            f"{len(files.unchanged)} the same; {files.bytes_to_send / 1e6:,.1f} MB to send at the most"
        ),
    ]
    if not found.same:
        lines.append(f"the version after {before} would be a {found.bump.level} one")
    return Report(found.summary(), lines, values=[] if found.same else [found.bump.level])


def push(
    folder: FolderArgument,
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="OWNER/NAME on the Hub.")],
    version: Annotated[
        str | None,
        typer.Option(
            metavar="X.Y.Z", help="Publish as this version.", show_default="by what changed"
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent, and as what.")
    ] = False,
    message: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Title of the commit.")
    ] = None,
    without_evaluation: Annotated[
        bool,
        typer.Option(
            "--without-evaluation",
            help="Publish without the scores and figures that the version before has.",
        ),
    ] = False,
    replace_card: ReplaceCardOption = False,
) -> Report:
    """Publish a release as an immutable version: one commit, checked, then tagged.

    Run it again after an interruption or a failure: it goes on where it stopped.
    """
    from hfaef.hub.push import push as run

    set_up_hub(bars=False)  # ours shows files; two would write over each other
    pushed = run(
        folder,
        repo_id,
        version=version,
        private=private,
        dry_run=dry_run,
        message=message,
        without_evaluation=without_evaluation,
        replace_card=replace_card,
    )
    lines = list(pushed.plan.lines()) if pushed.plan else []
    lines.append(f"{pushed.outcome}: {repo_id} v{pushed.version}, {pushed.url}")
    if not dry_run:
        revision = f"v{pushed.version}"
        lines.append(f"read it:    datasets.load_dataset({repo_id!r}, revision={revision!r})")
    return Report(pushed.summary(), lines, values=[pushed.version], notes=pushed.notes)


def evaluate(
    target: TargetArgument,
    poolings: Annotated[
        list[str] | None,
        typer.Option(
            "--pooling",
            metavar="NAME",
            help="One of `mean`, `max`, `std`, `stats`, `mean_max`, `mean_std`, `median_iqr`, "
            "`percentiles`, `gem`, `center_weighted`, `covariance`; all by default. Repeat for more.",
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="Pool dequantized `values`, or the stored uint8 as it is (the study's `codes`).",
        ),
    ] = "values",
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PLACE",
            help="Other vectors to compare with: a Parquet or CSV table with `id` and vectors; a "
            "folder or .tar.gz of GeoTIFFs (options: `pooling=`, `scale=`, `offset=`, `nodata=`, "
            "as in `NAME=DIR,scale=0.0001`); an .npz with `ids`, or in the order of a list "
            "(`list=FILE`, `key=ARRAY`); another release (`pooling=`); OWNER/NAME[@REVISION] "
            "(`file=PATH`). Repeat for more.",
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--embed",
            metavar="MODEL",
            help="Run a model over the patches' images, as `hfaef embed` does, and compare with "
            "its vectors. Repeat for more.",
        ),
    ] = None,
    probes: Annotated[
        list[str] | None,
        typer.Option("--probe", metavar="NAME", help="`knn` or `linear`; both by default."),
    ] = None,
    fuse: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A+B",
            help="Two sets of vectors side by side, standardized, as one more. Repeat for more.",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="`default`: k and C chosen on the validation split; `published`: as in published "
            "studies, every k, and C by cross-validation.",
        ),
    ] = "default",
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="For a first look: of the poolings only `mean`, unless named; no curves, no years.",
        ),
    ] = False,
    max_iterations: Annotated[
        int,
        typer.Option(
            "--max-iterations",
            metavar="N",
            min=1,
            help="Of the solver of linear probes; more, where a note says that it did not converge.",
        ),
    ] = 1000,  # `linear.MAX_ITERATIONS`, whose import would slow every --help
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write there instead of into the release.",
            show_default="evaluation.json, for a release on the Hub",
        ),
    ] = None,
    model_index: ModelIndexOption = None,
    eval_results: EvalResultsOption = None,
    replace_card: ReplaceCardOption = False,
) -> Report:
    """Score a release: neighbours and a linear probe in every split scheme, and what differs.

    Vectors are compared by pairs, patch by patch; curves tell how few labels and bytes do. It
    writes evaluation.json and the figures into the release, and its card again; scores that are
    there already and are not measured again stay.
    """
    from hfaef.cli.model_results import measured_dataset, parse_wanted, write_results
    from hfaef.evaluation.evaluate import Settings, require_possible, summary
    from hfaef.evaluation.evaluate import evaluate as run
    from hfaef.evaluation.pooling import POOLINGS
    from hfaef.hub.target import parse_target
    from hfaef.release.format.scores import evaluation_bytes

    set_up_hub()
    settings = Settings(
        poolings=poolings or (),
        on=cast("On", on),
        features=features or (),
        fuse=fuse or (),
        probes=cast("list[Probe]", probes or ["knn", "linear"]),
        protocol=cast("Literal['default', 'published']", protocol),
        quick=quick,
        max_iterations=max_iterations,
    )
    if models and isinstance(parse_target(target), Path):
        names = [*settings.features, *map(short_name, models)]
        require_possible(target, replace(settings, features=names), out)
    embedded = [embed_release(target, model) for model in models or ()]
    features = [*settings.features, *(argument for argument, _ in embedded)]
    measured = {*(poolings or POOLINGS), *(one.partition("=")[0] for one in features)}
    wanted = parse_wanted("model-index", model_index or (), measured)
    wanted += parse_wanted("eval-results", eval_results or (), measured)
    dataset = measured_dataset(target, wanted) if wanted else None
    written = run(
        target,
        replace(settings, features=features),
        out=out,
        replace_card=replace_card,
    )
    found = written.evaluation
    inside = out is None and isinstance(parse_target(target), Path)
    lines: list[str | Table] = [
        *(line for _, done in embedded for line in embedded_lines(done)),
        score_table(found),
        *differences(found),
        f"wrote:      {written.path}" + (" and its card" if inside else ""),
        *(write_results(wanted, found, *dataset) if dataset else ()),
    ]
    if inside:
        lines += [
            f"look at it: {command_line('hfaef', 'atlas', target, '--open')}",
            f"draw it:    {command_line('hfaef', 'show', target)}",
            f"publish it: {command_line('hfaef', 'push', target, 'OWNER/NAME', '--dry-run')}",
        ]
    notes = (
        *dict.fromkeys(note for _, done in embedded for note in done.notes),
        *written.notes,
        *score_notes(found, max_iterations),
        *(_stale_picture(target) if inside else ()),
    )
    content = {**json.loads(evaluation_bytes(found)), "path": str(written.path), "notes": notes}
    said = {note for _, done in embedded for note in done.said}
    shown = [note for note in notes if note not in said]
    return Report(content, lines, values=list(summary(found)), notes=shown)


def _stale_picture(target: str) -> Iterator[str]:
    """A note on the picture of the atlas, which a browser drew of what was there before."""
    from hfaef.release.format.paths import ATLAS_PICTURE

    if Path(target, ATLAS_PICTURE).is_file():
        again = command_line("hfaef", "show", target)
        yield f"{ATLAS_PICTURE} shows the page before this evaluation; {again} draws it again"


def score_table(evaluation: Evaluation) -> Table:
    """The primary metric of each probe that is shown, with its interval, in a row."""
    from hfaef.evaluation.probe.metrics import LEVEL
    from hfaef.release.format.scores import METRICS, shown, shown_range

    metric = evaluation.primary
    more = any(score.fit == "train+validation" for score in evaluation.scores)
    rows = []
    for score in evaluation.scores:
        if not score.shown or score.fit == "train+validation":
            continue
        found, folds = score.metrics[metric], score.fit == "folds"
        # Over folds there may be several k.
        count = f", k = {score.neighbours}" if score.neighbours else ""
        row = [
            score.features,
            f"kNN{count}" if score.probe == "knn" else "linear",
            score.scheme,
            str(score.year or "all"),
            "folds" if folds else f"{score.train:,}",
            f"{score.test:,}",
            shown(found.value, metric),
            shown_range(found, metric, folds=folds),
        ]
        if more:
            where = (score.features, score.scheme, score.year, score.probe)
            both = evaluation.score(*where, fit="train+validation")
            row.append(shown(both.metrics[metric].value, metric) if both else "-")
        rows.append(row)
    head = ["vectors", "probe", "scheme", "year", "train", "test"]
    unit = METRICS[metric] + ("" if evaluation.target == "number" else ", %")
    folded = bool(rows) and all(score.fit == "folds" for score in evaluation.scores)
    sure = "deviation over folds" if folded else f"{LEVEL} % interval"
    head += [unit, sure, *(["with validation"] if more else [])]
    return Table(head, rows)


def differences(evaluation: Evaluation) -> list[str]:
    """What comparisons by pairs say of each year, as the card does."""
    from hfaef.release.card.verdicts import verdicts

    schemes = list(dict.fromkeys(score.scheme for score in evaluation.scores))
    years = list(dict.fromkeys(score.year for score in evaluation.scores))
    lines = []
    for year in years:
        of = f"{year}: " if len(years) > 1 else ""
        for text in verdicts(evaluation, schemes, year):
            plain = text.replace("`", "").replace("**", "")
            lines.append(f"{of}{plain}.")
    return lines


def score_notes(evaluation: Evaluation, max_iterations: int) -> list[str]:
    """How few patches there are to test on, what solvers warned of, and what could not be run."""
    from hfaef.release.card.tables import few_tests

    few = few_tests(evaluation).replace("**", "")
    warned = Counter(evaluation.warnings)
    unfinished = next((one for one in warned if one.startswith("ConvergenceWarning")), "")
    help_ = {unfinished: f"; give `--max-iterations {5 * max_iterations}`"}
    return [
        *filter(None, [few]),
        *(
            f"{warning} (probes: {count}){help_.get(warning, '')}"
            for warning, count in warned.items()
        ),
        *(
            f"not run: {one.probe} of {one.features}, {one.scheme} {one.year or 'all years'}: {one.reason}"
            for one in evaluation.skipped
        ),
    ]
