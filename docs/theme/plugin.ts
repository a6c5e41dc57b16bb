import { join } from 'node:path';
import {
  Application,
  DocumentReflection,
  MinimalSourceFile,
  normalizePath,
  type ProjectReflection,
  RendererEvent,
} from 'typedoc';
import { FRONT_PAGE, SECTIONS } from './contents.js';
import { seeCodeInHeadings } from './heading-anchors.js';
import { readPage } from './markdown.js';
import { root } from './root.js';
import { separateSearchKeys } from './search-index.js';
import { SiteRouter } from './site-router.js';
import { SiteTheme } from './site-theme.js';

/** What a page counts more than an export in the search: whoever looks for a word looks for what it is about. */
const PAGES_FIRST = 20;

/** What TypeDoc calls: adds the pages of the repository to the reference, and how both are shown. */
export function load(application: Application): void {
  application.renderer.defineTheme('site', SiteTheme);
  application.renderer.defineRouter('site', SiteRouter);
  application.on(Application.EVENT_BOOTSTRAP_END, ({ options }) =>
    options.setValue('markdownItLoader', seeCodeInHeadings),
  );
  application.renderer.on(
    RendererEvent.END,
    ({ outputDirectory }: RendererEvent) => separateSearchKeys(join(outputDirectory, 'assets', 'main.js')),
    // When all files are there.
    -100,
  );
  application.on(Application.EVENT_PROJECT_REVIVE, (project) => addPages(application, project), 1);
}

function addPages(application: Application, project: ProjectReflection): void {
  const parsed = (path: string) => {
    const { title, text } = readPage(path);
    const file = normalizePath(`${root}/${path}`);
    const { content } = application.converter.parseRawComment(new MinimalSourceFile(text, file), project.files);
    return { title, file, content };
  };
  for (const path of SECTIONS.flatMap(({ pages }) => pages)) {
    const { title, file, content } = parsed(path);
    const page = new DocumentReflection(title, project, content, {});
    page.relevanceBoost = PAGES_FIRST;
    project.addChild(page);
    project.registerReflection(page, undefined, file);
  }
  const { file, content } = parsed(FRONT_PAGE);
  project.readme = content;
  project.files.registerReflection(file, project);
}
