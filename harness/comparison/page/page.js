"use strict";
(() => {
  const source = document.getElementById("example-data");
  if (!source) return;
  const { runs, names, items } = JSON.parse(source.textContent);
  const form = document.getElementById("filters");
  const list = document.getElementById("examples");
  const count = document.getElementById("example-count");
  const more = document.getElementById("more");
  const STEP = 25;
  const KINDS = { disagree: "models disagree", missed: "all miss it", right: "all right" };
  let limit = STEP;

  // Every text goes in as text: nothing of the data is ever markup.
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const language = (code) => (names[code] ? `${names[code]} (${code})` : code);
  const fill = (select, values, shown) => {
    for (const value of values) select.append(element("option", shown(value), { value }));
  };
  const distinct = (key) => [...new Set(items.map((item) => item[key]))];
  fill(form.elements.task, distinct("t"), (value) => value);
  fill(form.elements.language, distinct("l").sort(), language);
  fill(form.elements.model, runs.map((_, at) => String(at)), (at) => runs[Number(at)]);

  const right = (score) => score > 99.9;
  const chosen = () => {
    const { task, language: code, kind, model, outcome, words } = form.elements;
    const needle = words.value.trim().toLowerCase();
    return items.filter((item) =>
      (!task.value || item.t === task.value) &&
      (!code.value || item.l === code.value) &&
      (!kind.value || item.k === kind.value) &&
      (!outcome.value || (model.value ? [item.p[Number(model.value)]] : item.p)
        .some((answer) => right(answer[1]) === (outcome.value === "right"))) &&
      (!needle || JSON.stringify([item.i, item.x, item.g, item.p]).toLowerCase().includes(needle)));
  };

  const card = (item) => {
    const box = element("article", undefined, { class: "example", "data-task": item.t, "data-language": item.l, "data-kind": item.k });
    box.append(element("h3", `${item.t}, ${language(item.l)}, example ${item.i}: ${KINDS[item.k]}`));
    const texts = element("dl", undefined, { class: "texts" });
    for (const [name, text] of [...item.x, ["gold", item.g]]) {
      texts.append(element("dt", name));
      const cell = element("dd");
      cell.append(element("bdi", text, { class: "text", dir: "auto", lang: item.l }));
      texts.append(cell);
    }
    box.append(texts);
    const table = element("table");
    const head = element("tr");
    for (const name of ["model", "answer", "score"]) head.append(element("th", name, { scope: "col" }));
    const top = element("thead");
    top.append(head);
    const body = element("tbody");
    item.p.forEach(([answer, score], at) => {
      const row = element("tr");
      row.append(element("th", runs[at], { scope: "row" }));
      const cell = element("td");
      cell.append(element("bdi", answer, { class: "text", dir: "auto", lang: item.l }));
      row.append(cell);
      row.append(element("td", right(score) ? "✓ right" : score > 0 ? `${score.toFixed(0)} %` : "✗ wrong", { class: right(score) ? "good" : "bad" }));
      body.append(row);
    });
    table.append(top, body);
    box.append(table);
    return box;
  };

  const show = () => {
    const found = chosen();
    list.replaceChildren(...found.slice(0, limit).map(card));
    count.textContent = `${found.length.toLocaleString("en")} of the page's ${items.length.toLocaleString("en")} examples; ${Math.min(limit, found.length).toLocaleString("en")} are shown`;
    more.hidden = found.length <= limit;
  };
  // A driver that chooses an option sends no "input".
  for (const kind of ["input", "change"]) form.addEventListener(kind, () => { limit = STEP; show(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { limit = STEP; show(); }));
  more.addEventListener("click", () => { limit += STEP; show(); });
  show();
  document.documentElement.dataset.ready = "yes";
})();
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, at) => head.querySelector("button").addEventListener("click", () => {
    const falling = head.getAttribute("aria-sort") === "ascending" || (at > 0 && !head.hasAttribute("aria-sort"));
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const value = (row) => { const text = row.cells[at].textContent; const number = parseFloat(text); return Number.isNaN(number) || at === 0 ? text : number; };
    const order = (one, other) => typeof one === typeof other ? (one < other ? -1 : one > other ? 1 : 0) : typeof one === "number" ? -1 : 1;
    const missing = (row) => row.cells[at].textContent === "-";
    const rows = [...table.tBodies[0].rows].sort((one, other) =>
      missing(one) !== missing(other) ? (missing(one) ? 1 : -1) : (falling ? -1 : 1) * order(value(one), value(other)));
    table.tBodies[0].append(...rows);
  }));
}
