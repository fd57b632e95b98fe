"use strict";
// Draws the charts of the page from the JSON blocks beside them. No request, no eval: Vega interprets expressions.
(() => {
  const parse = (id) => JSON.parse(document.getElementById(id).textContent);
  const config = parse("chart-config");
  const charts = [...document.querySelectorAll(".chart")];
  const views = new Map();
  const specs = new Map();
  const titles = new Map(charts.map((chart) => [chart, chart.getAttribute("aria-label")]));

  // A chart of panels gets as many columns as fit, and panels as wide as the page leaves them. Where rows are kept, a
  // row of panels is broken into equal parts, so that the same layer stands below the same layer.
  const columnsFor = (chart, width) => {
    const wanted = Number(chart.dataset.columns);
    const fitting = Math.max(1, Math.floor(width / Number(chart.dataset.least)));
    if (fitting >= wanted) return wanted;
    if (chart.dataset.rows !== "kept") return fitting;
    let columns = fitting;
    while (wanted % columns) columns -= 1;
    return columns;
  };

  const embed = (chart, spec) => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const tooltip = { theme: dark ? "dark" : "light" };
    return vegaEmbed(chart, spec, { config, actions: false, tooltip, ast: true, renderer: "svg" });
  };

  // The legend that stands beside the drawing on the page goes into a saved picture.
  const withLegend = (part, field) => {
    for (const channel of ["color", "strokeDash"]) {
      if (part.encoding?.[channel]?.field !== field) continue;
      part.encoding[channel].legend = {
        title: null, orient: "bottom", columns: 4, symbolType: "stroke", symbolOpacity: 1, symbolFillColor: "transparent",
      };
    }
    for (const inner of [...(part.layer ?? []), ...(part.spec ? [part.spec] : [])]) withLegend(inner, field);
  };

  // A saved picture has dark letters on white, whatever the page has: it goes into a document.
  const asPicture = async (chart, kind) => {
    const onPaper = (value) => JSON.parse(JSON.stringify(value).replaceAll('"currentColor"', '"#222222"'));
    const spec = onPaper({ ...specs.get(chart), padding: 14, ...(parse(chart.id + "-spec").width ? { width: 640 } : {}) });
    spec.title = titles.get(chart);
    if (chart.dataset.key) withLegend(spec, chart.dataset.key);
    const options = { config: { ...onPaper(config), background: "white" }, actions: false, ast: true };
    const result = await vegaEmbed(document.createElement("div"), spec, options);
    const url = await result.view.toImageURL(kind, 2);
    result.finalize();
    return url;
  };

  const save = (url, name) => {
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
  };

  // Fields that only say where a mark goes.
  const PLUMBING = new Set(["place", "panel", "shift", "line", "at", "alone"]);

  // The numbers of a drawing: every row of its data, a list in a row being a column of its own rows.
  const rowsOf = (spec) => {
    const found = [];
    const collect = (part) => {
      if (part.data?.values && part.data.name !== "others") found.push(...part.data.values);
      for (const inner of [...(part.layer ?? []), ...(part.hconcat ?? []), ...(part.spec ? [part.spec] : [])]) collect(inner);
    };
    collect(spec);
    return found.flatMap((row) => {
      const fields = Object.entries(row).filter(([name]) => !PLUMBING.has(name));
      const lists = fields.filter(([, value]) => Array.isArray(value));
      if (!lists.length) return fields.length > 1 ? [Object.fromEntries(fields)] : [];
      const count = Math.max(...lists.map(([, value]) => value.length)) - (spec.usermeta?.closed ? 1 : 0);
      return Array.from({ length: count }, (_, i) =>
        Object.fromEntries(fields.map(([name, value]) => [name, Array.isArray(value) ? (value[i] ?? null) : value])));
    });
  };

  // Text that a spreadsheet would take for a formula gets an apostrophe; numbers stay numbers.
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value !== "string") return String(value);
    const safe = /^[\s]*[=+\-@]/.test(value) || /^[\t\r\n]/.test(value) ? "'" + value : value;
    return /[",\r\n]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  };

  const csv = (rows) => {
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    const lines = [columns, ...rows.map((row) => columns.map((name) => row[name]))];
    return lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
  };

  const link = (label, title, href, name) => {
    const made = document.createElement("a");
    made.textContent = label;
    made.title = title;
    made.href = href;
    made.download = name;
    return made;
  };

  const addLinks = (chart) => {
    const name = chart.id.replace(/^chart-/, "");
    const bar = document.createElement("span");
    bar.className = "save";
    for (const kind of ["png", "svg"]) {
      const made = link(kind.toUpperCase(), `Save this figure as ${kind.toUpperCase()}`, "#" + chart.id, `${name}.${kind}`);
      made.addEventListener("click", async (event) => {
        event.preventDefault();
        save(await asPicture(chart, kind), made.download);
      });
      bar.append(made);
    }
    // A byte order mark tells a spreadsheet that the text is UTF-8.
    const numbers = "data:text/csv;charset=utf-8," + encodeURIComponent("\ufeff" + csv(rowsOf(parse(chart.id + "-spec"))));
    bar.append(link("CSV", "Save the numbers of this figure as CSV", numbers, `${name}.csv`));
    chart.closest("figure").querySelector("h3").append(bar);
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
    // Vega writes a label of its own over the chart's.
    chart.setAttribute("aria-label", titles.get(chart));
    views.set(chart, result);
    specs.set(chart, spec);
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

  for (const chart of charts) addLinks(chart);
  // Weights of images come as 16-bit integers; the least of them stands for a weight that is not finite.
  const unpacked = ({ packed, scale, height, width }) => {
    const bytes = Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
    return Array.from(new Int16Array(bytes.buffer), (steps, i) => ({
      unit: Math.floor(i / (height * width)) + 1,
      row: (Math.floor(i / width) % height) + 1,
      column: (i % width) + 1,
      weight: steps === -32768 ? null : Number((steps * scale).toPrecision(5)),
    }));
  };

  for (const picture of document.querySelectorAll("img.picture")) {
    const bar = document.createElement("span");
    bar.className = "save";
    bar.append(link("PNG", "Save this picture as PNG", picture.src, `${picture.id}.png`));
    const sheet = link("CSV", "Save the numbers of this picture as CSV", "#" + picture.id, `${picture.id}.csv`);
    sheet.addEventListener("click", (event) => {
      event.preventDefault();
      const numbers = parse(picture.id + "-numbers");
      const text = "\ufeff" + csv(numbers.packed ? unpacked(numbers) : rowsOf(numbers));
      save(URL.createObjectURL(new Blob([text], { type: "text/csv" })), sheet.download);
    });
    bar.append(sheet);
    picture.closest("figure").querySelector("h3").append(bar);
  }

  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 200);
  });
  drawAll();
})();
