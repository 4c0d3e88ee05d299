// Digits, shown and asked. Asking uses one field over drawn boxes, so that keyboards, pasting and screen readers see one field.
import { el } from './dom.js';
import { say } from './say.js';

const size = (n) => (n > 4 ? '.six' : '');

/** Digits to read, each in its box */
export const shownDigits = (digits) =>
  el(`div.digits${size(digits.length)}`, { role: 'img', 'aria-label': [...digits].join(' ') }, [...digits].map((digit) => el('b', { 'aria-hidden': 'true' }, digit)));

/** A field for `n` digits: `{ node, input, clear }`. It is never sent by itself: there are only three tries. */
function askedDigits(n, label) {
  const boxes = Array.from({ length: n }, () => el('b', { 'aria-hidden': 'true' }));
  const input = el('input', {
    inputmode: 'numeric',
    autocomplete: 'off',
    autocorrect: 'off',
    spellcheck: 'false',
    enterkeyhint: 'done',
    pattern: '[0-9]*',
    name: 'digits',
    'aria-label': label,
    'data-1p-ignore': '',
    'data-lpignore': 'true',
  });
  const draw = () => {
    const digits = input.value.replace(/\D/g, '').slice(0, n);
    if (input.value !== digits) input.value = digits;
    boxes.forEach((box, at) => {
      box.textContent = digits[at] ?? '';
      box.classList.toggle('here', at === Math.min(digits.length, n - 1));
    });
  };
  input.addEventListener('input', draw);
  draw();
  const node = el(`div.digits.asked${size(n)}`, {}, boxes, input);
  const clear = () => {
    input.value = '';
    draw();
  };
  return { node, input, clear, get complete() { return input.value.length === n; } };
}

/** A form around a field: `send(digits)` is called when all digits are there. */
export function digitForm({ n, label, send, children, id }) {
  const field = askedDigits(n, label);
  const problem = el('p.wrong', { role: 'alert', hidden: true });
  const form = el('form.stack', { id, novalidate: true, autocomplete: 'off' }, field.node, problem, children);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (field.complete) send(field.input.value);
    else {
      problem.hidden = false;
      problem.textContent = say('digits.missing', { n });
      field.input.focus();
    }
  });
  return { form, field };
}
