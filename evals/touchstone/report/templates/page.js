"use strict";
{
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const form = document.getElementById("filters");
  const headers = Array.from(table.tHead.rows[0].cells, (cell) => cell.textContent.trim());

  const matches = (row) => {
    const wanted = new FormData(form);
    const text = wanted.get("text").trim().toLowerCase();
    if (text && !row.textContent.toLowerCase().includes(text)) return false;
    const language = wanted.get("language");
    if (language && !row.dataset.language.split("\n").includes(language)) return false;
    return ["verdict", "type", "model"].every((name) => {
      const value = wanted.get(name);
      return !value || row.cells[headers.indexOf(name)].textContent.trim() === value.trim();
    });
  };
  const filter = () => {
    let shown = 0;
    for (const row of rows) {
      row.hidden = !matches(row);
      shown += row.hidden ? 0 : 1;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length}`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());

  const key = (row, at) => {
    const cell = row.cells[at];
    if (cell.dataset.v === undefined) return cell.textContent.trim().toLowerCase();
    return cell.dataset.v === "" ? null : Number(cell.dataset.v);
  };
  const compare = (one, other) => {
    if (one === null || other === null) return 0;
    return typeof one === "number" ? one - other : one.localeCompare(other);
  };
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const header = button.closest("th");
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const at = header.cellIndex;
    const keyed = rows.map((row) => [key(row, at), row]);
    keyed.sort(([one], [other]) => {
      if ((one === null) !== (other === null)) return one === null ? 1 : -1;  // what has no number stays last
      return down ? -compare(one, other) : compare(one, other);
    });
    body.append(...keyed.map(([, row]) => row));
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const command = button.parentElement.querySelector("code");
    navigator.clipboard?.writeText(command.textContent).then(
      () => { button.textContent = "copied"; },
      () => { getSelection().selectAllChildren(command); button.textContent = "selected"; },
    );
  });

  const open = () => {
    // Our ids are ASCII; whatever else somebody has put into the address names nothing here.
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView();
    if (target.tagName === "DETAILS") target.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", open);
  document.addEventListener("click", (event) => {
    // The same link a second time changes no hash.
    if (event.target.closest("a")?.getAttribute("href") === location.hash) open();
  });
  open();
  filter();
}
