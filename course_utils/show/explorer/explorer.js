// Wakes the explorers of a page. Each figure holds a sheet with a frame for every position of its slider; the window shows one of them.
document.querySelectorAll('figure.explorer:not([data-awake])').forEach((figure, number) => {
  figure.dataset.awake = '1';  // a page with several explorers brings this script several times
  const find = selector => figure.querySelector(selector);
  const img = find('img'), range = find('input'), label = find('label');
  const output = find('output'), caption = find('figcaption'), choice = find('select');
  range.id = 'explorer-' + Date.now().toString(36) + '-' + number + Math.random().toString(36).slice(2);
  label.htmlFor = range.id;

  // What the first slider shows stands partly in the markup, so that a page without scripts shows it too.
  const first = JSON.parse(figure.dataset.explorer);
  const {rim, alt} = first;
  Object.assign(first, {label: label.textContent, src: img.src});
  for (const key of ['min', 'max', 'step', 'value']) first[key] = range[key];
  const tracks = [first, ...(first.more || [])];
  let track = first;

  // On a narrow screen a frame of several columns is shown in slices, one under the other. A slice is a window of its own; the
  // first is the one in the markup.
  const SMALLEST = 60;  // pixels: a column is shown no narrower, where that can be helped
  const firstWindow = find('.explorer-window'), columns = first.columns || 1;
  const drawnWidth = parseFloat(firstWindow.style.width);
  let slices = [{pane: firstWindow, img, from: 0, to: columns}];

  const perRow = available => {
    if (columns === 1 || available >= .75 * drawnWidth) return columns;
    const smallest = Math.max(SMALLEST, .5 * drawnWidth / columns);
    const rows = Math.ceil(columns / Math.max(1, Math.floor(available / smallest)));
    return Math.ceil(columns / rows);
  };

  const cut = () => {
    const count = perRow(figure.clientWidth);
    if (count === slices[0].to) return;
    slices.slice(1).forEach(slice => slice.pane.remove());
    slices = [];
    for (let from = 0; from < columns; from += count) {
      const pane = from ? firstWindow.cloneNode(true) : firstWindow;
      if (from) {
        slices[slices.length - 1].pane.after(pane);
        pane.setAttribute('aria-hidden', 'true');  // the first slice has said it
        pane.firstElementChild.alt = '';
      }
      slices.push({pane, img: pane.firstElementChild, from, to: Math.min(columns, from + count)});
    }
    place();
  };

  const place = () => {
    for (const {pane, img, from, to} of slices) {
      const width = track.w * (to - from) / columns;
      pane.style.aspectRatio = width + '/' + track.h;
      pane.style.width = slices.length > 1 ? 100 * (to - from) / slices[0].to + '%' : drawnWidth + 'px';
      img.src = track.src;
      img.style.width = 100 * track.cols * (track.w + 2 * rim) / width + '%';
    }
    show();
  };

  const show = () => {
    const position = Math.min(track.says.length - 1, Math.round((range.value - range.min) / range.step));
    const column = position % track.cols, row = Math.floor(position / track.cols);
    for (const slice of slices) {
      const share = (slice.to - slice.from) / columns;
      const x = column * (track.w + 2 * rim) + rim + track.w * slice.from / columns;
      slice.img.style.left = -100 * x / (track.w * share) + '%';
      slice.img.style.top = -100 * (row * (track.h + 2 * rim) + rim) / track.h + '%';
    }
    output.textContent = track.shown[position];
    caption.textContent = track.says[position];
    img.alt = alt + ' ' + track.says[position];
  };

  // Every other slider has frames of its own; those not chosen stand at their start.
  const take = () => {
    track = tracks[choice.selectedIndex];
    label.textContent = track.label;
    for (const key of ['min', 'max', 'step', 'value']) range[key] = track[key];
    place();
  };

  range.addEventListener('input', show);
  if (choice) choice.addEventListener('change', take);
  find('.explorer-controls').hidden = false;
  show();
  if (columns > 1 && window.ResizeObserver) new ResizeObserver(cut).observe(figure);
});
