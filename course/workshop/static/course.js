// Brings the widgets of a chapter to life on a page without Python (see course/workshop/frames.py).
"use strict";

const make = (tag, attributes = {}, inside = "") => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.innerHTML = inside;
  return element;
};

const live = (box) => box.appendChild(make("p", { class: "course-live", "aria-live": "polite" }));

function sliders(box, frames) {
  const controls = [...box.querySelectorAll("[data-n]")];
  const image = box.querySelector("img.course-figure");
  const text = box.querySelector(".text");
  const said = live(box);
  const place = (control) => {
    if (control.type === "checkbox") return Number(control.checked);
    if (control.type === "range") return Number(control.value);
    return [...control.querySelectorAll("input")].findIndex((radio) => radio.checked);
  };
  const show = () => {
    const frame = frames[controls.reduce((at, c) => at * Number(c.dataset.n) + place(c), 0)];
    for (const control of controls) {
      if (control.type !== "range") continue;
      const word = JSON.parse(control.dataset.words)[control.value];
      control.setAttribute("aria-valuetext", word);
      control.nextElementSibling.textContent = word;
    }
    image.src = frame.src;
    image.alt = frame.alt;
    text.innerHTML = frame.text;
    return frame;
  };
  box.addEventListener("input", show);
  box.addEventListener("change", () => { said.textContent = show().alt; });
  // A browser may keep what was set before the page was loaded again.
  show();
  // The frames come when the reader comes near, so that a step shows at once.
  new IntersectionObserver((seen, observer) => {
    if (!seen.some((one) => one.isIntersecting)) return;
    observer.disconnect();
    for (const frame of frames) new Image().src = frame.src;
  }, { rootMargin: "200px" }).observe(box);
}

function predict(box, _, number) {
  const answer = document.querySelectorAll(".course-answer")[number];
  const said = live(box);
  const buttons = [...box.querySelectorAll("button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const one of buttons) one.setAttribute("aria-pressed", one === button);
      said.textContent = answer ? "Kept. You will see it again beside the result." : "Kept. Now read on.";
      if (!answer) return;
      answer.open = true;
      answer.querySelector(".course-you")?.remove();
      const you = make("p", { class: "course-you" }, "<b>You expected</b> ");
      you.append(button.textContent);
      answer.querySelector("summary").after(you);
    });
  }
}

// Every ordered page of `picks` cards, as clicks in expectation.
function pages(p, seen, used = [], sum = 0, all = []) {
  if (used.length === seen.length) all.push(sum);
  else p.forEach((chance, card) => {
    if (!used.includes(card)) pages(p, seen, [...used, card], sum + chance * seen[used.length], all);
  });
  return all;
}

function hill(all, marks) {
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const bins = new Array(40).fill(0);
  const x = (value) => 20 + 560 * (value - low) / (high - low || 1);
  for (const value of all) bins[Math.min(39, Math.floor(40 * (value - low) / (high - low || 1)))] += 1;
  const top = Math.max(...bins);
  const bars = bins.map((n, i) =>
    `<rect x="${20 + 14 * i}" y="${170 - 110 * n / top}" width="13" height="${110 * n / top}"/>`);
  const lines = marks.map(([word, value, dash], i) =>
    `<line x1="${x(value)}" x2="${x(value)}" y1="${22 + 14 * i}" y2="170" stroke-dasharray="${dash}"/>` +
    `<text x="${x(value)}" y="${18 + 14 * i}" text-anchor="${x(value) > 480 ? "end" : "start"}">` +
    `${word} ${value.toFixed(2)}</text>`);
  const words = "Where pages stand: " + marks.map(([word, value]) => `${word} ${value.toFixed(2)}`);
  return `<svg viewBox="0 0 600 190" role="img" aria-label="${words}">${bars.join("")}` +
    `${lines.join("")}<text x="20" y="186">expected clicks of all pages that could be picked</text></svg>`;
}

function game(box, { picks, rounds }) {
  const parts = ["viewer", "grid", "result"].map((name) => make("div", { class: name }));
  const recommend = make("button", { type: "button" }, "Recommend");
  const another = make("button", { type: "button" }, "Another viewer");
  const bar = make("p");
  bar.append(recommend, " ", another);
  box.append(parts[0], parts[1], bar);
  const said = live(box), shares = [];
  box.append(parts[2]);
  parts[2].setAttribute("aria-live", "polite");
  let round, picked, buttons, marks;

  const refresh = (over = false) => {
    buttons.forEach((button, card) => {
      const at = picked.indexOf(card), title = rounds[round].cards[card].title;
      button.textContent = at < 0 ? "Pick" : `✓ place ${at + 1}`;
      button.setAttribute("aria-label", at < 0 ? `Pick ${title}` : `${title}: place ${at + 1}, take it back`);
      button.setAttribute("aria-pressed", at >= 0);
      button.disabled = over || (at < 0 && picked.length === picks);
    });
    recommend.disabled = over || picked.length < picks;
    said.textContent = over ? `Round ${round + 1} of ${rounds.length} is over.`
      : `${picked.length} of ${picks} picked.`;
  };
  const start = (number) => {
    [round, picked, buttons, marks] = [number % rounds.length, [], [], []];
    parts[0].innerHTML = rounds[round].viewer;
    parts[1].replaceChildren(...rounds[round].cards.map((card, at) => {
      const cell = make("div", {}, card.html), button = make("button", { type: "button" });
      button.addEventListener("click", () => {
        picked = picked.includes(at) ? picked.filter((one) => one !== at) : [...picked, at];
        refresh();
      });
      marks.push(cell.appendChild(make("p", { class: "truth" })));
      cell.append(button);
      buttons.push(button);
      return cell;
    }));
    parts[2].replaceChildren();
    refresh();
  };
  const finish = () => {
    const { cards, seen, system } = rounds[round], p = cards.map((card) => card.p);
    const worth = (page) => page.reduce((sum, card, at) => sum + p[card] * seen[at], 0);
    const all = pages(p, seen), mean = all.reduce((a, b) => a + b) / all.length;
    const order = [...p.keys()].sort((a, b) => p[b] - p[a]).slice(0, picks);
    const [you, best] = [worth(picked), worth(order)];
    const percent = (page) => `${Math.round(100 * (page - mean) / (best - mean))} %`;
    shares.push((you - mean) / (best - mean));
    let text = `Your page is worth <b>${you.toFixed(2)}</b> clicks in expectation, a random one ` +
      `${mean.toFixed(2)}, the best one ${best.toFixed(2)}. You closed <b>${percent(you)}</b> of the gap ` +
      `and beat ${Math.round(100 * all.filter((one) => one < you).length / all.length)} % of all pages.`;
    const lines = [["you", you, ""], ["the best", best, "6 3"]];
    if (system.length) {
      lines.push(["the system", worth(system), "8 3 2 3"]);
      text += ` The system's page is worth <b>${worth(system).toFixed(2)}</b>: ${percent(worth(system))} of the gap.`;
    }
    if (shares.length > 1) {
      text += ` Over ${shares.length} viewers: ${Math.round(100 * shares.reduce((a, b) => a + b) / shares.length)} % of the gap.`;
    }
    parts[2].innerHTML = `<p>${text}</p>${hill(all, lines)}`;
    marks.forEach((mark, card) => {
      const at = order.indexOf(card);
      mark.textContent = `true chance ${(100 * p[card]).toFixed(0)} %` + (at < 0 ? "" : ` · the oracle's place ${at + 1}`);
      mark.parentElement.classList.toggle("oracle", at >= 0);
    });
    refresh(true);
  };
  recommend.addEventListener("click", finish);
  another.addEventListener("click", () => start(round + 1));
  start(0);
}

document.addEventListener("DOMContentLoaded", () => {
  for (const [kind, wake] of Object.entries({ sliders, predict, game })) {
    document.querySelectorAll(`.course-widget[data-kind="${kind}"]`).forEach((box, number) => {
      const data = box.querySelector("script");
      wake(box, data && JSON.parse(data.textContent), number);
    });
  }
  for (const wide of document.querySelectorAll(".course-wide")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
});
