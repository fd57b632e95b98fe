"use strict";
// Draws the charts of the page from the JSON blocks beside them. No request, no eval: Vega interprets expressions.
(() => {
  const parse = (id) => JSON.parse(document.getElementById(id).textContent);
  const config = parse("chart-config");
  const charts = [...document.querySelectorAll(".chart")];
  const views = new Map();
  const actions = { export: { svg: true, png: true }, source: false, compiled: false, editor: false };

  // A chart of panels gets as many columns as fit, and panels as wide as the page leaves them.
  const columnsFor = (chart, width) => {
    const wanted = Number(chart.dataset.columns);
    const fitting = Math.max(1, Math.floor(width / Number(chart.dataset.least)));
    if (fitting >= wanted) return wanted;
    return chart.dataset.rows === "kept" ? 1 : fitting;
  };

  const embed = (chart, spec) => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const tooltip = { theme: dark ? "dark" : "light" };
    const downloadFileName = chart.id;
    return vegaEmbed(chart, spec, { config, actions, tooltip, downloadFileName, ast: true, renderer: "svg" });
  };

  const draw = async (chart) => {
    const width = chart.clientWidth;
    const spec = parse(chart.id + "-spec");
    views.get(chart)?.finalize();
    if (chart.dataset.columns) {
      spec.columns = columnsFor(chart, width);
      spec.spec.width = Math.max(60, Math.floor(width / spec.columns) - 70);
    }
    let result = await embed(chart, spec);
    // Axes and gaps take what only the drawing tells; the panels get the rest.
    const left = width - chart.querySelector("svg").viewBox.baseVal.width;
    if (chart.dataset.columns && Math.abs(left) > 4) {
      result.finalize();
      spec.spec.width = Math.max(60, spec.spec.width + Math.floor(left / spec.columns));
      result = await embed(chart, spec);
    }
    views.set(chart, result);
    chart.dataset.width = String(width);
  };

  const drawAll = async () => {
    for (const chart of charts) {
      if (chart.dataset.width === String(chart.clientWidth)) continue;
      try {
        await draw(chart);
      } catch (error) {
        chart.textContent = "This chart could not be drawn: " + error.message;
        console.error(error);
      }
    }
    document.documentElement.dataset.drawn = String(charts.length);
  };

  let picked = -1;
  const pick = (place) => {
    for (const chart of charts) {
      if (chart.dataset.picks) views.get(chart)?.view.signal("picked", place).runAsync();
    }
  };
  for (const button of document.querySelectorAll(".legend button")) {
    const place = Number(button.dataset.place);
    button.addEventListener("pointerenter", () => pick(place));
    button.addEventListener("pointerleave", () => pick(picked));
    button.addEventListener("click", () => {
      picked = picked === place ? -1 : place;
      for (const other of document.querySelectorAll(".legend button")) {
        other.setAttribute("aria-pressed", String(Number(other.dataset.place) === picked));
      }
      pick(picked);
    });
  }

  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 200);
  });
  drawAll();
})();
