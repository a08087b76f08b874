"""What the page does when one clicks: selection shared by graph, charts and table; sorting; zoom and pan; themes."""

SCRIPT = r"""
'use strict';
const $ = (query, from = document) => from.querySelector(query);
const all = (query, from = document) => [...from.querySelectorAll(query)];
const layers = JSON.parse($('#layers').textContent);
const canvas = $('.canvas');
let zoom = 1;

const drawing = () => all('svg.graph').find(svg => !svg.hidden && svg.style.display !== 'none');

function scale(factor) {
  zoom = Math.min(3, Math.max(0.15, factor));
  for (const svg of all('svg.graph')) {
    const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
    svg.setAttribute('width', width * zoom);
    svg.setAttribute('height', height * zoom);
  }
}

// The whole graph where its words can still be read; else its width, from the top.
const READABLE = 0.6;
function fit() {
  const [, , width, height] = drawing().getAttribute('viewBox').split(' ').map(Number);
  const across = (canvas.clientWidth - 16) / width, down = (canvas.clientHeight - 8) / height;
  const whole = Math.min(1.25, across, down);
  scale(whole >= READABLE ? whole : Math.min(1.25, Math.max(0.3, across)));
  canvas.scrollTo({left: 0, top: 0, behavior: 'instant'});
}

function show(name) {
  for (const svg of all('svg.graph')) svg.style.display = svg.parentNode.dataset.drawing === name ? '' : 'none';
  const button = $('#fold');
  if (button) {
    button.textContent = name === 'folded' ? 'Unfold repeats' : 'Fold repeats';
    button.dataset.next = name === 'folded' ? 'whole' : 'folded';
  }
  fit();
}

function reveal(element) {
  const box = element.getBoundingClientRect(), frame = canvas.getBoundingClientRect();
  canvas.scrollBy({top: (box.top + box.bottom - frame.top - frame.bottom) / 2,
                   left: (box.left + box.right - frame.left - frame.right) / 2, behavior: 'instant'});
}

function select(id, from) {
  for (const element of all('.on')) element.classList.remove('on');
  const layer = layers[id];
  if (!layer) return;
  for (const element of all(`[data-id="${id}"]`)) element.classList.add('on');
  for (const element of all(`.edge[data-from="${id}"],.edge[data-to="${id}"]`)) element.classList.add('on');
  const details = $('.details');
  details.hidden = false;
  details.replaceChildren();
  const title = document.createElement('h2');
  title.textContent = layer[0];
  const list = document.createElement('dl');
  for (const [name, value] of layer[1]) {
    const term = document.createElement('dt'), text = document.createElement('dd');
    term.textContent = name;
    text.textContent = value;
    list.append(term, text);
  }
  details.append(title, list);
  const node = all(`.node[data-id="${id}"]`).find(item => item.ownerSVGElement === drawing());
  if (node && from !== 'graph') reveal(node);
  const row = $(`tr[data-id="${id}"]`);
  if (row && from === 'graph') {
    const frame = $('.scroll');
    frame.scrollTop = row.offsetTop - frame.clientHeight / 2;
  }
}

function sort(header) {
  const index = header.cellIndex, body = $('tbody');
  const descending = header.getAttribute('aria-sort') !== 'descending' && header.classList.contains('n')
    || header.getAttribute('aria-sort') === 'ascending';
  for (const other of all('th')) other.removeAttribute('aria-sort');
  header.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
  const key = row => row.cells[index].dataset.v;
  const numbers = header.classList.contains('n');
  const compare = (a, b) => {
    const x = key(a), y = key(b);
    if (x === '' || y === '') return (x === '') - (y === '');  // what is not known stands last, whatever the order
    const order = numbers ? Number(x) - Number(y) : x.localeCompare(y, undefined, {numeric: true});
    return descending ? -order : order;
  };
  body.append(...all('tr', body).sort(compare));
}

for (const header of all('th')) {
  header.addEventListener('click', () => sort(header));
  header.addEventListener('keydown', event => { if (event.key === 'Enter') sort(header); });
}
document.addEventListener('click', event => {
  const target = event.target.closest('[data-id],[data-go]');
  if (!target || moved) return;
  const id = target.dataset.id ?? target.dataset.go;
  select(id, target.closest('.graph') && target.dataset.id ? 'graph' : '');
});
document.addEventListener('keydown', event => {
  if (event.key === 'Enter' && event.target.matches?.('.node')) select(event.target.dataset.id, 'graph');
});
$('#filter').addEventListener('input', event => {
  const wanted = event.target.value.toLowerCase();
  for (const row of all('tbody tr')) row.hidden = !row.textContent.toLowerCase().includes(wanted);
});
$('#in').addEventListener('click', () => scale(zoom * 1.25));
$('#out').addEventListener('click', () => scale(zoom / 1.25));
$('#fit').addEventListener('click', fit);
$('#fold')?.addEventListener('click', event => show(event.target.dataset.next));
$('#theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme:dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
});
canvas.addEventListener('wheel', event => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  scale(zoom * Math.exp(-event.deltaY / 400));
}, {passive: false});

let drag = null, moved = false;
canvas.addEventListener('pointerdown', event => {
  drag = [event.clientX, event.clientY, canvas.scrollLeft, canvas.scrollTop];
  moved = false;
});
addEventListener('pointermove', event => {
  if (!drag) return;
  const [x, y, left, top] = drag;
  if (Math.hypot(event.clientX - x, event.clientY - y) > 4) {
    moved = true;
    canvas.classList.add('dragging');
  }
  canvas.scrollTo(left - event.clientX + x, top - event.clientY + y);
});
addEventListener('pointerup', () => {
  drag = null;
  canvas.classList.remove('dragging');
  setTimeout(() => { moved = false; });
});
addEventListener('resize', fit);
show($('[data-drawing]').dataset.drawing);
"""
