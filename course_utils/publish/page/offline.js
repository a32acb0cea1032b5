// Keeps the files of this page in the browser, so that it opens without a network. Nothing else is kept.
const NAME = '$name';
const PREFIX = 'try-it ';
const FILES = $files;

self.addEventListener('install', event => {
  event.waitUntil(caches.open(NAME).then(kept => kept.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', event => {
  const older = names => names.filter(name => name.startsWith(PREFIX) && name !== NAME);
  event.waitUntil(caches.keys().then(names => Promise.all(older(names).map(name => caches.delete(name)))).then(() => self.clients.claim()));
});

self.addEventListener('fetch', event => {
  const fetched = caches.open(NAME).then(kept => kept.match(event.request, { ignoreSearch: true })).then(found => found || fetch(event.request));
  event.respondWith(fetched);
});
