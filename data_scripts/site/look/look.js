// What every page does: boxes that scroll are reached by keyboard, the skip link lands on the slider, an address inside of
// something folded opens it, and the course remembers, in this browser only, which lessons were opened.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // ---- a box that scrolls is a stop of the keyboard; the others are none
  const LABEL = 'Scrolls';
  const mark = box => {
    if (box.scrollWidth > box.clientWidth + 1 || (box.scrollHeight > box.clientHeight + 1 && getComputedStyle(box).overflowY === 'auto')) {
      box.tabIndex = 0;
      box.setAttribute('role', 'group');
      box.setAttribute('aria-label', LABEL);
    } else if (box.getAttribute('aria-label') === LABEL) {
      for (const name of ['tabindex', 'role', 'aria-label']) box.removeAttribute(name);
    }
  };
  const markAll = () => all('main .cell-output, main .cell-output-display, main .sd-table, main pre').forEach(mark);
  addEventListener('load', markAll);
  addEventListener('resize', markAll);

  // ---- the skip link to the first slider
  const skip = document.querySelector('.skip-to-slider');
  if (skip) skip.addEventListener('click', event => {
    const slider = document.querySelector('figure.explorer input[type=range]');
    if (!slider) return;
    event.preventDefault();
    slider.scrollIntoView({block: 'center'});
    slider.focus();
  });

  // ---- an address that points into something folded, or to its heading, opens it
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let box = target.closest('details'); box; box = box.parentElement.closest('details')) box.open = true;
    const next = /^H\d$/.test(target.tagName) ? target.parentElement : target;  // a heading, or the section that it names
    const details = next.querySelector(':scope > details.folded');
    if (details && next.querySelectorAll(':scope > details').length === 1) details.open = true;
    target.scrollIntoView();
  };
  addEventListener('hashchange', reveal);
  if (location.hash) addEventListener('load', reveal);

  // ---- which lessons this browser has opened
  const KEY = 'course-opened';
  const lesson = address => (address.match(/\/(\d\d)_\w+\.html/) || [])[1];
  let opened = [];
  try {
    opened = JSON.parse(localStorage.getItem(KEY)) || [];
    const here = lesson(location.pathname);
    if (here && !opened.includes(here)) localStorage.setItem(KEY, JSON.stringify([...opened, here].sort()));
  } catch (error) { opened = []; }  // a private window, or no list
  all('#quarto-sidebar a.sidebar-link').forEach(link => { if (opened.includes(lesson(link.href))) link.classList.add('opened'); });
  const tiles = all('.lesson-tiles > li');
  tiles.forEach(tile => { if (opened.includes(lesson(tile.querySelector('a').href))) tile.classList.add('opened'); });
  const count = tiles.filter(tile => tile.classList.contains('opened')).length;
  const line = document.querySelector('.course-progress');
  if (line && count) {
    const bar = Object.assign(document.createElement('progress'), {max: tiles.length, value: count});
    bar.setAttribute('aria-label', 'Lessons opened');
    line.append(bar, `${count} of ${tiles.length} lessons opened in this browser.`);
    line.hidden = false;
  }

  // ---- the home page opens with a picture that moves: its slider goes there and back once, for less than five seconds, until somebody takes it
  const opening = document.querySelector('#title-block-header + figure.explorer');
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (opening && !calm) addEventListener('load', () => {
    const range = opening.querySelector('input[type=range]'), caption = opening.querySelector('figcaption');
    const low = +range.min, high = +range.max, rest = +range.value, began = performance.now(), DURATION = 4500;
    let taken = false;
    for (const kind of ['pointerdown', 'keydown', 'focus']) range.addEventListener(kind, () => { taken = true; });
    caption.setAttribute('aria-live', 'off');  // nobody asked for it to be read out
    const move = now => {
      const share = Math.min(1, (now - began) / DURATION);
      if (!taken) {
        range.value = share < 1 ? low + (high - low) * (1 - Math.cos(2 * Math.PI * share)) / 2 : rest;
        range.dispatchEvent(new Event('input', {bubbles: true}));
      }
      if (share < 1 && !taken) requestAnimationFrame(move);
      else caption.setAttribute('aria-live', 'polite');
    };
    requestAnimationFrame(move);
  });
})();
