/** What an error says, to show it to a person. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
