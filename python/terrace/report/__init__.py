"""Drawing a compile report: one HTML file without anything from elsewhere. Plain Python; `page.render` makes it."""
