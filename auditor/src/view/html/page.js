"use strict";
(() => {
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const by = (id) => document.getElementById(id);
  const form = by("filter"), rows = all("#hops tbody tr"), found = all(".finding"), blind = all("#blind li");
  const edges = new Map(all("#picture .e").map((edge) => [edge.dataset.edge, edge]));
  let chosen = null;
  // What is shown is read, never made: no text becomes markup here.
  const texts = new Map([...rows, ...found, ...blind].map((item) => [item, item.textContent.toLowerCase()]));
  const holds = (list, value) => !value || (list || "").includes(`\t${value}\t`);
  const apply = () => {
    const words = by("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [service, code, state] = ["service", "code", "state"].map((id) => by(id).value);
    const matches = (item) => words.every((word) => texts.get(item).includes(word)) && holds(item.dataset.services, service)
      && holds(item.dataset.codes, code) && (chosen === null || item.dataset.edge === chosen);
    const show = (item, shown) => item.classList.toggle("gone", !shown);
    const live = new Set();
    let count = 0;
    for (const row of rows) {
      const shown = matches(row) && (!state || row.dataset.state === state);
      show(row, shown);
      count += shown;
      if (shown && row.dataset.edge) live.add(row.dataset.edge);
    }
    const narrowed = count < rows.length;
    for (const item of found) show(item, matches(item) && (!state || !item.dataset.edge || live.has(item.dataset.edge)));
    for (const item of blind) show(item, chosen === null && !code && matches(item));
    for (const section of all(".code")) show(section, section.querySelector(".finding:not(.gone)"));
    for (const [id, edge] of edges) {
      edge.classList.toggle("off", narrowed && !live.has(id));
      edge.classList.toggle("chosen", id === chosen);
    }
    const name = chosen === null ? "" : `, ${edges.get(chosen).querySelector("title").textContent.split(":")[0]}`;
    by("shown").textContent = `${count} of ${rows.length} hops${name}`;
  };
  for (const [id, edge] of edges) {
    edge.addEventListener("click", (event) => {
      event.preventDefault();
      chosen = chosen === id ? null : id;
      apply();
      // What is to be read of it.
      if (chosen !== null) found.filter((item) => item.dataset.edge === chosen).forEach((item) => { item.open = true; });
      by("hops").scrollIntoView({ block: "nearest" });
    });
  }
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => { chosen = null; setTimeout(apply); });
  form.hidden = false;
  apply();
  document.documentElement.dataset.ready = `${rows.length} hops, ${edges.size} edges, ${found.length} findings`;
})();
