// Debian's Chromium, with a profile of its own each time, and the page as a person meets it: by
// labels and roles, so that a field without a name fails here.

import { chromium } from "playwright-core";

export function launch(words = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync", ...words],
  });
}

export async function openPage(browser, url) {
  const context = await browser.newContext();
  context.setDefaultTimeout(15000);
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  return {
    page, errors,
    close: () => context.close(),
    connected: () => page.getByRole("status").filter({ hasText: /^connected$/ }).waitFor(),
    row: (text) => page.locator("#rows tr").filter({ hasText: text }),
    async listenTo(name) {
      const field = page.getByLabel("Channel, or pattern with * ? or [ ]");
      await field.fill(name);
      await field.press("Enter");
    },
    async publish({ channel, event = "", data, key = "" }) {
      const form = page.getByRole("region", { name: "Publish" });
      await form.getByLabel("Channel").fill(channel);
      await form.getByLabel("Event").fill(event);
      await form.getByLabel("Data").fill(data);
      await form.getByLabel("API key").fill(key);
      await form.getByRole("button", { name: "Publish" }).click();
    },
    answer: () => page.locator("#answer").textContent(),
  };
}
