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

  const show = () => {
    const position = Math.min(track.says.length - 1, Math.round((range.value - range.min) / range.step));
    const column = position % track.cols, row = Math.floor(position / track.cols);
    img.style.left = -100 * (column * (track.w + 2 * rim) + rim) / track.w + '%';
    img.style.top = -100 * (row * (track.h + 2 * rim) + rim) / track.h + '%';
    output.textContent = track.shown[position];
    caption.textContent = track.says[position];
    img.alt = alt + ' ' + track.says[position];
  };

  // Every other slider has frames of its own; those not chosen stand at their start.
  const take = () => {
    track = tracks[choice.selectedIndex];
    label.textContent = track.label;
    for (const key of ['min', 'max', 'step', 'value']) range[key] = track[key];
    img.src = track.src;
    find('.explorer-window').style.aspectRatio = track.w + '/' + track.h;
    img.style.width = 100 * track.cols * (track.w + 2 * rim) / track.w + '%';
    show();
  };

  range.addEventListener('input', show);
  if (choice) choice.addEventListener('change', take);
  find('.explorer-controls').hidden = false;
  show();
});
