// Elements from plain values. Text becomes text nodes and never markup, so that a label with HTML shows as it was written.

/** An element: attributes by name (false, null and undefined leave one out), then children: nodes, text, or lists of them. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make *place* hold *children*, changing only what differs: focus, selection and scrolling stay where they were. */
export function show(place, ...children) {
  const fresh = make(place.tagName, {}, ...children);
  matchChildren(place, fresh);
}

function matchChildren(old, fresh) {
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, index) => {
    const present = old.childNodes[index];
    if (present === undefined) old.append(node);
    else if (isAlike(present, node)) matchNode(present, node);
    else present.replaceWith(node);
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

// An element with a key stands for one thing, and is never made into another.
function isAlike(old, fresh) {
  return old.nodeName === fresh.nodeName && (old.nodeType !== Node.ELEMENT_NODE || old.getAttribute("data-key") === fresh.getAttribute("data-key"));
}

function matchNode(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  matchChildren(old, fresh);
}

/** A table: *heads* are texts or {text, kind}, where the kind is "number", or "text" for sentences, *rows* are {key, cells}; a cell is a node, text, or a list of both.
 * On a small screen each row becomes a block, unless the table's *kind* is "narrow". */
export function makeTable(caption, heads, rows, kind = "wide") {
  const columns = heads.map((head) => (typeof head === "string" ? { text: head } : head));
  return make(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make(
      "table",
      { class: kind },
      make("caption", { class: "hidden" }, caption),
      make("thead", {}, make("tr", {}, columns.map((one) => make("th", { scope: "col", class: one.kind }, one.text)))),
      make("tbody", {}, rows.map((row) => make("tr", { "data-key": row.key, class: row.class }, row.cells.map((cell, index) => makeCell(cell, columns[index], index))))),
    ),
  );
}

function makeCell(content, column, index) {
  return make(index === 0 ? "th" : "td", { "data-label": column.text, class: column.kind, scope: index === 0 && "row" }, make("div", {}, content));
}

/** A smaller line below what a cell says. */
export function under(...children) {
  return make("span", { class: "under" }, ...children);
}

/** A word in a coloured pill; the word says what the colour does. */
export function badge(text, tone = "plain") {
  return make("span", { class: `badge ${tone}` }, text);
}

/** A paragraph that explains, or says that there is nothing. */
export function note(...children) {
  return make("p", { class: "note" }, ...children);
}
