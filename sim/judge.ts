export function judgeFolder(_folder: string): string {
  return "";
}
