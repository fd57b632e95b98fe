"""The sections of the report, each from the numbers to its HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.facts.user_model import OwnModel
from initlab.core.training.protocol import Optimizer
from initlab.frameworks import FRAMEWORKS
from initlab.report.drawing.markup import Html, definitions, element, join, json_block, lines, table, text
from initlab.report.drawing.palette import line_style
from initlab.report.drawing.text import count_of, number, p_value, share, without_folders
from initlab.report.drawing.theme import Spec
from initlab.report.study.facts import DatasetFacts, layer_facts, network, parameter_facts
from initlab.report.study.figures import (
    FinalFigure,
    close_rows,
    final_figure,
    gap_figure,
    loss_figure,
    score_figure,
    time_figure,
)
from initlab.report.study.specs import MOST_BANDS, curve_panels_spec, curve_spec, final_spec
from initlab.report.study.story import environment, explanations, unfinished_runs
from initlab.report.study.tables import table_columns, table_notes
from initlab.study.design import preprocess_of
from initlab.study.records import Analysis, RunRecord, StudyDesign
from initlab.study.wording import row_worth
from initlab.tasks.preprocess import WORDS

_RANKED = (
    "n of N: the difference is that of the n seeds where both runs finished. Where a run of a pair diverged, p is that "
    "of the signed ranks of all N seeds, divergence the largest difference, two that diverged equal; such a pair has "
    "no interval, so p alone says whether the two differ."
)


@dataclass(frozen=True)
class Section:
    """One part of the page: its anchor, its heading and its content."""

    name: str
    title: str
    content: Html

    def html(self) -> Html:
        """The section with its heading."""
        return element("section", element("h2", text(self.title)), self.content, id=self.name)


def answer(analysis: Analysis) -> Html:
    """The conclusion, set apart."""
    said = [element("h2", text("The answer")), element("p", text(analysis.conclusion))]
    return element("section", *said, class_="answer", id="answer")


def question(design: StudyDesign, facts: DatasetFacts) -> Section:
    """Study, data, network, optimiser, schemes and seeds."""
    said = [
        ("study", f"{design.name}: {count_of(len(design.schemes), 'scheme')} × {count_of(design.runs, 'seed')}"),
        ("schemes", ", ".join(design.schemes)),
        ("splits", "the data set's own" if design.splits == 1 else f"{design.splits}, {design.seeds} fresh seeds each"),
        (
            "seeds",
            f"{design.all_seeds[0]} to {design.all_seeds[-1]}; all schemes share a seed's noise, its batches and its "
            "dropout masks",
        ),
        ("data", _data(facts)),
        ("features", WORDS[told] if (told := preprocess_of(design)) is not None else "not told"),
        ("one test row", _worth(facts)),
        ("source", without_folders(facts.source) or "not given"),
        ("sha256 of the data", facts.digest or "not given"),
        ("network", _network(network(design, facts))),
        ("optimiser", _optimizer(design)),
        ("budget", f"{count_of(design.budget.epochs, 'epoch')}, batches of {design.budget.batch_size} rows"),
        ("loss", "cross-entropy" if design.loss == "cross_entropy" else "mean squared error"),
        ("output layer", design.output_scheme or "by the compared scheme"),
        ("biases", _biases(design)),
        ("truncation and fans", f"as in {design.dialect}" if design.dialect else "initlab's own"),
        ("trained with", design.framework),
    ]
    return Section("asked", "What was asked", definitions(said))


def _network(arch: Mlp | Recurrent | OwnModel) -> str:
    if isinstance(arch, Mlp):
        return f"{' → '.join(str(w) for w in arch.widths)}, {arch.activation}, {arch.parameters:,} parameters"
    if isinstance(arch, Recurrent):
        sizes = f"{arch.inputs} → {arch.width} → {arch.outputs}"
        return f"recurrent over {arch.steps} steps, {sizes}, {arch.activation}, {arch.parameters:,} parameters"
    rows = " × ".join(str(n) for n in arch.row_shape)
    row = f"a row is {rows} number{'' if rows == '1' else 's'}"
    return f"{arch.name}, a {FRAMEWORKS[arch.framework].title} model, {arch.parameters:,} parameters; {row}"


def _optimizer(design: StudyDesign) -> str:
    told = optimizer_text(design.optimizer)
    if not design.learning_rates:
        return told
    grid = ", ".join(f"{rate:g}" for rate in sorted(design.learning_rates))
    one, own = f"learning rate {design.optimizer.learning_rate:g}", f"learning rate of {grid}, each scheme its own"
    return told.replace(one, own)


def _biases(design: StudyDesign) -> str:
    if design.model is not None:
        return "by a scheme's own rule for its biases, else zero"
    return design.bias_scheme if design.bias else "none"


def _data(facts: DatasetFacts) -> str:
    outputs = "class" if facts.kind == "classification" else "output"
    plural = count_of(facts.outputs, outputs).replace("classs", "classes")
    features = count_of(facts.features, "feature")
    return f"{facts.name}: {facts.rows_train:,} rows to train, {facts.rows_test:,} to test, {features}, {plural}"


def _worth(facts: DatasetFacts) -> str:
    """What a row of the test set is worth."""
    if facts.kind != "classification":
        return f"1 of {facts.rows_test:,}"
    return f"{row_worth(facts.rows_test)} points of accuracy, of {count_of(facts.rows_test, 'row')}"


def optimizer_text(optimizer: Optimizer) -> str:
    """The optimiser with the numbers that it uses.

    Example:
        >>> optimizer_text(Optimizer("sgd", 0.01, l2=1e-4))
        'sgd, learning rate 0.01, L2 0.0001'
    """
    o = optimizer
    parts = [o.name, f"learning rate {o.learning_rate:g}"]
    if o.name == "momentum":
        parts.append(f"momentum {o.momentum:g}")
    if o.name in ("adam", "adamw"):
        parts.append(f"beta {o.beta_1:g} and {o.beta_2:g}, epsilon {o.epsilon:g}")
    if o.name == "adamw":
        parts.append(f"weight decay {o.weight_decay:g}")
    if o.clip_norm is not None:
        parts.append(f"gradient norm clipped at {o.clip_norm:g}")
    parts += [f"{name} {value:g}" for name, value in (("L1", o.l1), ("L2", o.l2)) if value]
    return ", ".join(parts)


def network_summary(design: StudyDesign, facts: DatasetFacts) -> Section:
    """A row a dense layer; of an own model a row a parameter."""
    arch = network(design, facts)
    if isinstance(arch, OwnModel):
        return Section("network", "The network", _parameters(arch))
    rows = [
        (
            layer.name,
            f"{layer.shape[0]} × {layer.shape[1]}",
            f"{layer.parameters:,}",
            layer.activation,
            str(layer.fan_in),
            str(layer.fan_out),
        )
        for layer in layer_facts(arch)
    ]
    rows.append(("all", "", f"{arch.parameters:,}", "", "", ""))
    heading = ("layer", "weight (out × in)", "parameters", "activation", "fan in", "fan out")
    between = [f"dropout {arch.dropout:g} after each hidden layer"] if arch.dropout else []
    between += [f"{arch.norm} norm before each activation"] if arch.norm != "none" else []
    between += ["a hidden layer of equal width adds its input"] if isinstance(arch, Mlp) and arch.residual else []
    note = element("p", text(f"Besides: {', '.join(between)}."), class_="note") if between else Html("")
    return Section("network", "The network", join([table(heading, rows), note]))


def _parameters(model: OwnModel) -> Html:
    rows = [
        (p.name, p.role, " × ".join(str(n) for n in p.shape) or "scalar", f"{p.size:,}", p.between, p.note)
        for p in parameter_facts(model)
    ]
    rows.append(("all", "", "", f"{model.parameters:,}", "", ""))
    heading = ("parameter", "role", "shape", "numbers", "from → to", "kept")
    said = "From → to: the activation that makes the layer's input and the one that takes its output."
    return join([element("div", table(heading, rows), class_="words"), element("p", text(said), class_="note")])


def results(analysis: Analysis) -> Section:
    """The table, and each scheme beside the best."""
    columns = table_columns(analysis)
    heading = ["\n".join(column.heading) for column in columns]
    rows = list(zip(*(column.cells for column in columns), strict=True))
    best = [i for i, row in enumerate(analysis.rows) if row.scheme == analysis.best]
    note = element("p", text(table_notes(analysis)), class_="note")
    return Section("results", "Results", join([table(heading, rows, strong=best), note, _against_best(analysis)]))


def _against_best(analysis: Analysis) -> Html:
    rows = []
    for pair in analysis.pairs:
        if analysis.best is None or analysis.best not in (pair.first, pair.second):
            continue
        turned = pair.first == analysis.best
        sign = -1.0 if turned else 1.0
        other = pair.second if turned else pair.first
        ends = [sign * end for end in (pair.low, pair.high) if end is not None]
        interval = f"[{share(min(ends))}, {share(max(ends))}]" if len(ends) == 2 else "–"
        better, worse = (pair.losses, pair.wins) if turned else (pair.wins, pair.losses)
        difference = share(sign * pair.difference, signed=True)
        if pair.diverged:
            difference += f" on {pair.seeds - pair.diverged} of {pair.seeds}" if pair.diverged < pair.seeds else ""
        rows.append((other, difference, interval, p_value(pair.p), str(better), str(worse), str(pair.ties)))
    if not rows:
        return Html("")
    heading = ("scheme", "difference to the best", "simultaneous 95 % interval", "p", "seeds better", "worse", "equal")
    parts = [element("h3", text(f"Difference to {analysis.best}, seed by seed")), table(heading, rows)]
    if any(pair.diverged for pair in analysis.pairs):
        parts.append(element("p", text(_RANKED), class_="note"))
    return join(parts)


def learning(design: StudyDesign, records: Sequence[RunRecord]) -> Section:
    """Score and loss by epoch."""
    score, loss = score_figure(design, records), loss_figure(design, records)
    many = len(design.schemes) > MOST_BANDS
    bands = "the bands are drawn below, scheme by scheme" if many else "band: 10th to 90th percentile of the seeds"
    said = (
        f"Mean over the seeds; {bands}. Epoch 0 is the state at initialization. A run that diverged is in the mean up "
        "to the epoch where it did. Point at a name to bring out its line, click to keep it."
    )
    pair = element(
        "div",
        chart("score", score.label, curve_spec(score), picks="yes", key="scheme"),
        chart("loss", loss.label, curve_spec(loss), picks="yes", key="scheme"),
        class_="pair",
    )
    parts = [element("p", text(said), class_="note"), _legend(design.schemes), pair]
    if many:
        about = "One scheme each in colour, with the band from the 10th to the 90th percentile; the others in grey."
        for name, figure in (("score", score), ("loss", loss)):
            spec = curve_panels_spec(figure)
            title = f"{figure.label}, scheme by scheme"
            parts.append(chart(f"{name}-panels", title, spec, about=about, columns="4", least="215"))
    return Section("learning", "Learning curves", join(parts))


def _legend(schemes: Sequence[str]) -> Html:
    items = []
    for place, scheme in enumerate(schemes):
        style = line_style(place)
        dash = " ".join(str(length) for length in style.dash)
        stroke = element(
            "line", x1="0", y1="6", x2="30", y2="6", stroke=style.colour, stroke_width="3", stroke_dasharray=dash
        )
        sample = element("svg", stroke, width="30", height="12", aria_hidden="true")
        button = element("button", sample, text(scheme), type="button", data_place=str(place), aria_pressed="false")
        items.append(element("li", button))
    return element("ul", *items, class_="legend")


def final(analysis: Analysis, records: Sequence[RunRecord]) -> Section:
    """The score after training: all schemes, and those close to the best again on their own scale."""
    figure = final_figure(analysis, records)
    places = {row.scheme: i for i, row in enumerate(analysis.rows)}
    about = "A dot a seed; the bar across is the mean, the line its 95 % interval."
    parts = [chart("final", figure.label, final_spec(figure, places=places), about=about)]
    close: FinalFigure | None = close_rows(figure)
    if close is not None:
        title = f"{figure.label}: the schemes close to the best"
        parts.append(chart("final-close", title, final_spec(close, places=places), about=about))
    return Section("final", "After training", join(parts))


def speed_and_gap(analysis: Analysis, records: Sequence[RunRecord]) -> Section:
    """How soon each scheme gets to the target, and how much better it does on the rows it was trained on."""
    places = {row.scheme: i for i, row in enumerate(analysis.rows)}
    never = {row.scheme: row.epochs_to_target.count(None) for row in analysis.rows}
    remarks = {s: f"never in {n} of {analysis.seeds}" for s, n in never.items() if n}
    time, gap = time_figure(analysis), gap_figure(analysis, records)
    target = f"Target: {share(analysis.target)}. A dot a seed; the bar across is the median.{_seconds(records)}"
    gaps = "A dot a seed; the bar across is the mean, the line its 95 % interval. To the right: overfitting. The train "
    gaps += "side runs over the last epoch's batches" + (", with dropout on." if _has_dropout(records) else ".")
    time_drawn = final_spec(time, places=places, epochs=analysis.epochs, remarks=remarks)
    pair = element(
        "div",
        chart("time", time.label, time_drawn, about=target),
        chart("gap", gap.label, final_spec(gap, places=places, mark=0.0), about=gaps),
        class_="pair",
    )
    return Section("speed", "How soon, and how much is overfitting", pair)


def _has_dropout(records: Sequence[RunRecord]) -> bool:
    return any(getattr(run.spec.arch, "dropout", 0.0) for run in records)


def _seconds(records: Sequence[RunRecord]) -> str:
    """What an epoch costs, from the runs that finished."""
    costs = [r.wall / r.spec.budget.epochs for r in records if r.status == "ok" and r.wall > 0]
    if not costs:
        return ""
    seconds = sum(costs) / len(costs)
    told = f"{number(seconds)} s" if seconds >= 0.1 else f"{number(1000 * seconds)} ms"
    return f" An epoch takes {told} of computing."


def unable(design: StudyDesign, records: Sequence[RunRecord], facts: DatasetFacts) -> Section | None:
    """Why some schemes cannot learn; None where all can."""
    found = explanations(design, records, facts)
    if not found:
        return None
    parts = [join([element("h3", text(p.heading)), element("p", text(p.text))]) for p in found]
    return Section("unable", "Why some schemes do not learn", join(parts))


def incomplete(design: StudyDesign, records: Sequence[RunRecord]) -> Section | None:
    """What diverged or did not finish, and when; None where every run is well."""
    bad = unfinished_runs(design, records)
    if not bad:
        return None
    rows = [(run.scheme, str(run.seed), run.status, run.when, run.reason) for run in bad]
    content = element("div", table(("scheme", "seed", "status", "when", "why"), rows), class_="words")
    return Section("incomplete", "Runs that diverged or did not finish", content)


def trackers(logging: Mapping[str, str]) -> Section | None:
    """What became of the trackers, where one is degraded; else None."""
    told = [(name, *(part.strip() for part in outcome.partition(":")[::2])) for name, outcome in logging.items()]
    if all(state == "ok" for _, state, _ in told):
        return None
    said = "No run was harmed by it: the records, and all that is shown here, are whole; the tracker lacks some of it."
    rows = [(name, state, without_folders(why)) for name, state, why in told]
    content = element("div", table(("tracker", "logging", "why"), rows), class_="words")
    return Section("trackers", "Trackers", join([element("p", text(said), class_="note"), content]))


def repeat(records: Sequence[RunRecord], *, command: str, folder: str) -> Section:
    """The command and the environment."""
    said = (
        f"The records of the runs lie in the folder {folder}: with that folder as --out the command reads them and "
        "trains nothing again."
        if folder
        else ""
    )
    parts = [lines(command), element("p", text(said), class_="note"), definitions(environment(records))]
    return Section("repeat", "To repeat it", join(parts))


def chart(name: str, title: str, spec: Spec, *, about: str = "", **fitting: str) -> Html:
    """A place for a drawing, with its heading and its specification.

    Args:
        name: Becomes the element's id.
        title: The heading, and what a screen reader is told.
        spec: Vega-Lite.
        about: How to read it.
        fitting: Data attributes that ``page.js`` reads: ``columns`` wanted, ``least`` pixels a column, ``rows``,
            ``picks``, and ``key``: the field whose legend the page draws, and a saved picture needs.
    """
    data = {f"data_{key}": value for key, value in fitting.items()}
    caption = [element("h3", text(title)), *([element("p", text(about))] if about else [])]
    area = element("div", class_="chart", id=f"chart-{name}", role="img", aria_label=title, **data)
    return element("figure", element("figcaption", *caption), area, json_block(spec, id=f"chart-{name}-spec"))
