import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { environment: 'jsdom', setupFiles: ['test/canvas.ts'], include: ['test/**/*.spec.{ts,tsx}'] }
});
