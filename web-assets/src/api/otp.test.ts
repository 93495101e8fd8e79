// Codes are taken as they are typed, and a QR code comes from nowhere.
import { expect, test } from 'vitest';
import { codeOf, imageOf } from './otp.ts';

test('spaces are no part of a code', () => {
  expect(codeOf(' 123 456\n')).toBe('123456');
  expect(codeOf('abcd-efgh ')).toBe('abcd-efgh');
});

test('an image is in its address', () => {
  const svg = '<svg fill="#000"><path d="M0 0"/></svg>';
  const address = imageOf(svg);
  expect(address).toMatch(/^data:image\/svg\+xml,[^#<>"]+$/);
  expect(decodeURIComponent(address)).toContain(svg);
});
