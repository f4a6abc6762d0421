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

  const compare = (one, other) => {
    if (one === null || other === null) return 0;
    return typeof one === "number" ? one - other : one.localeCompare(other);
  };
  // Lets the headers of a table put its rows in order; what has no value stays last.
  const sortable = (head, rows, key, show) => head.addEventListener("click", (event) => {
    const header = event.target.closest("button")?.closest("th");
    if (!header) return;
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row) => [key(row, header.cellIndex), row]);
    keyed.sort(([one], [other]) => {
      if ((one === null) !== (other === null)) return one === null ? 1 : -1;
      return down ? -compare(one, other) : compare(one, other);
    });
    show(keyed.map(([, row]) => row));
  });
  const key = (row, at) => {
    const cell = row.cells[at];
    if (cell.dataset.v === undefined) return cell.textContent.trim().toLowerCase();
    return cell.dataset.v === "" ? null : Number(cell.dataset.v);
  };
  sortable(table.tHead, rows, key, (ordered) => body.append(...ordered));

  // Whatever is in the data goes into the page by textContent alone.
  const { columns: fields, ...data } = JSON.parse(document.getElementById("data").content.textContent);
  data.records = data.records.map((row) => Object.fromEntries(row.map((value, at) => [fields[at], value])));
  const make = (tag, text = "", more = {}) => Object.assign(document.createElement(tag), { textContent: text }, more);
  const shorten = (text) => String(text ?? "").replace(/^(.{99}).{2,}$/su, "$1…");
  const digits = (value, count, sign) => (sign && value >= 0 ? "+" : "") + value.toFixed(count).replace("-", "−");
  const save = (name, type, text) => {
    const file = name.replace(/[^\p{L}\p{N}.+]+/gu, "-").slice(-100);
    const link = make("a", "", { href: URL.createObjectURL(new Blob([text], { type })), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const quote = (value) => {
    if (typeof value === "number") return String(value);
    // A spreadsheet would compute a text that begins like a formula.
    return `"${String(value ?? "").replace(/^[=+@\t\r-]/, "'$&").replaceAll('"', '""')}"`;
  };
  const csv = (rows) => rows.map((row) => `${row.map(quote).join(",")}\r\n`).join("");
  form.addEventListener("click", (event) => {
    const kind = event.target.closest(".save")?.value;
    const rows = data.records.map((record) => fields.map((field) => record[field]));
    if (kind === "csv") save(`${data.suite}.csv`, "text/csv", csv([fields, ...rows]));
    if (kind === "json") save(`${data.suite}.json`, "application/json", JSON.stringify(data, null, 1));
  });

  // A list of many rows, which is searched, put in order, and leafed through fifty at a time.
  // A column has a title, of numbers how many digits they have, and whether they have a sign.
  const PAGE = 50;
  const fill = (place, title, columns, rows) => {
    place.replaceChildren(document.getElementById("list").content.cloneNode(true));
    const [search] = place.getElementsByTagName("input");
    const [count] = place.getElementsByTagName("output");
    const [keep, back, next] = place.getElementsByTagName("button");
    const [table] = place.getElementsByTagName("table");
    place.querySelector(".scroll").setAttribute("aria-label", title);
    let [start, ordered, chosen] = [0, rows, rows];
    const cell = (value, at) => {
      const [, count, sign] = columns[at];
      const text = typeof value === "number" ? digits(value, count, sign) : shorten(value);
      return make(at ? "td" : "th", text, { className: count ? "num" : "" });
    };
    const draw = (to) => {
      const wanted = search.value.trim().toLowerCase();
      chosen = ordered.filter((row) => row.join("\n").toLowerCase().includes(wanted));
      start = to;
      const end = Math.min(start + PAGE, chosen.length);
      table.tBodies[0].replaceChildren(...chosen.slice(start, end).map((row) => {
        const line = make("tr");
        line.append(...row.map(cell));
        return line;
      }));
      count.textContent = end ? `${start + 1} to ${end} of ${chosen.length}` : "none";
      back.disabled = start === 0;
      next.disabled = end === chosen.length;
    };
    for (const [name, count] of columns) {
      const header = make("th", "", { scope: "col", className: count ? "num" : "" });
      header.append(make("button", name, { type: "button" }));
      table.tHead.rows[0].append(header);
    }
    sortable(table.tHead, rows, (row, at) => row[at] === "" ? null : row[at], (all) => { ordered = all; draw(0); });
    search.addEventListener("input", () => draw(0));
    back.addEventListener("click", () => draw(start - PAGE));
    next.addEventListener("click", () => draw(start + PAGE));
    const titles = columns.map(([name]) => name);
    keep.addEventListener("click", () => save(`${title}.csv`, "text/csv", csv([titles, ...chosen])));
    draw(0);
  };

  const textOf = (part) => Array.from(part.children, (child) => child.textContent.trim()).join(" ");
  const textsOf = (details) => new Map(Array.from(details.querySelectorAll(".example"), (item) => [
    JSON.stringify([item.dataset.id, item.dataset.part]),
    Array.from(item.querySelectorAll(".text, .said div"), textOf).join(" · "),
  ]).filter(([, text]) => text));
  for (const details of document.querySelectorAll(".changed")) details.addEventListener("toggle", () => {
    if (details.querySelector("table")) return;
    const shot = details.closest(".case");
    const at = Number(shot.id.slice("case-".length)) - 1;
    const { strata, rows } = data.changed[at];
    const { task, alias } = data.records[at];
    const texts = textsOf(shot);
    const lines = rows.map(([id, stratum, before, now]) => {
      const part = strata[stratum];
      const row = [id, Math.round((now - before) * 1e6) / 1e6, before, now, part];
      return texts.size ? [...row, texts.get(JSON.stringify([id, part])) ?? ""] : row;
    });
    const columns = [["sample"], ["Δ", 3, true], ["before", 3], ["now", 3], ["part"], ...(texts.size ? [["text"]] : [])];
    fill(details.appendChild(make("div")), `samples of ${task} with ${alias}`, columns, lines);
  });

  // Another run beside this one: its file is read here and sent nowhere.
  const LARGEST = 2 ** 28;
  const other = document.getElementById("other");
  const [file, model] = other.querySelectorAll("input, select");
  const status = other.querySelector("[role=status]");
  const place = other.lastElementChild;
  let theirs = { records: [] };
  const keyOf = (record, alias) => JSON.stringify([record.task, record.limit ?? null, alias]);
  const scoreOf = (record) => Number.isFinite(record?.score) ? 100 * record.score : null;
  const unlike = (here, there) => {
    if (!there) return "not there";
    const field = ["metric", "data_sha256"].find((name) => here[name] && there[name] && here[name] !== there[name]);
    return field === "metric" ? `there ${shorten(there.metric)}` : field ? "other data" : "";
  };
  const beside = () => {
    const known = new Map(theirs.records.map((record) => [keyOf(record, record.alias), record]));
    const rows = data.records.map((record) => {
      const match = known.get(keyOf(record, model.value || record.alias));
      const [here, there, note] = [scoreOf(record), scoreOf(match), unlike(record, match)];
      const delta = here === null || there === null || note ? null : here - there;
      return [record.task, delta, here, there, record.alias, note];
    });
    const alike = rows.filter((row) => row[1] !== null);
    const mean = (at, sign) => digits(alike.reduce((sum, row) => sum + row[at], 0) / alike.length, 2, sign);
    status.textContent = `${theirs.name}, suite ${shorten(theirs.suite)} of ${shorten(theirs.started).slice(0, 10)}: `
      + `${alike.length} of ${rows.length} cases can be compared`
      + (alike.length ? `, mean ${mean(2)} here and ${mean(3)} there, Δ ${mean(1, true)}. ` : ". ")
      + "Δ is the score here minus the one there; nothing is judged.";
    const columns = [["task"], ["Δ", 2, true], ["here", 2], ["there", 2], ["model"], ["note"]];
    fill(place, `${data.suite} beside ${theirs.name}`, columns, rows);
  };
  const read = async (chosen) => {
    if (!chosen) return;
    const run = chosen.size < LARGEST ? await chosen.text().then(JSON.parse).catch(() => null) : null;
    const whole = (record) => typeof record?.task === "string" && typeof record.alias === "string";
    const right = Array.isArray(run?.records) && run.records.length > 0 && run.records.every(whole);
    place.replaceChildren();
    model.parentElement.hidden = !right;
    status.textContent = right ? "" : `${chosen.name} is no run record: expected what --report run.json writes.`;
    other.scrollIntoView();
    if (!right) return;
    theirs = { ...run, name: chosen.name };
    const aliases = Array.from(new Set(run.records.map((record) => record.alias)));
    const shared = data.records.some((record) => aliases.includes(record.alias));
    const option = (value) => make("option", shorten(value) || "the same", { value });
    model.replaceChildren(...(shared ? ["", ...aliases] : aliases).map(option));
    beside();
  };
  file.addEventListener("change", () => read(file.files[0]));
  model.addEventListener("input", beside);
  for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, (event) => {
    event.preventDefault();
    other.classList.toggle("drop", kind === "dragover");
    if (kind === "drop") read(event.dataTransfer?.files[0]);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const command = button.parentElement.querySelector("code");
    const link = `${location.href.split("#")[0]}#${button.closest(".case").id}`;
    const refused = () => {
      if (command) getSelection().selectAllChildren(command);
      else history.replaceState(null, "", link);
      button.textContent = command ? "selected" : "in the address bar";
    };
    const copied = navigator.clipboard?.writeText(command?.textContent ?? link) ?? Promise.reject();
    copied.then(() => { button.textContent = "copied"; }, refused);
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
