// A box that scrolls sideways, such as a wide table on a telephone, can be reached with the keyboard; the others are no stop on the way.
(() => {
  const LABEL = 'Scrolls sideways';
  const boxes = () => document.querySelectorAll('main .cell-output, main .cell-output-display, main .sd-table, main pre');
  const mark = box => {
    if (box.scrollWidth > box.clientWidth + 1) {
      box.tabIndex = 0;
      box.setAttribute('role', 'group');
      box.setAttribute('aria-label', LABEL);
    } else if (box.getAttribute('aria-label') === LABEL) {
      for (const name of ['tabindex', 'role', 'aria-label']) box.removeAttribute(name);
    }
  };
  const markAll = () => boxes().forEach(mark);
  addEventListener('load', markAll);
  addEventListener('resize', markAll);
})();
