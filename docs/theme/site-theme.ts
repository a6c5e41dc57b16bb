import { relative } from 'node:path';
import {
  DefaultTheme,
  DefaultThemeRenderContext,
  type DocumentReflection,
  JSX,
  type NavigationElement,
  type PageEvent,
  type ProjectReflection,
  type Reflection,
} from 'typedoc';
import { SECTIONS } from './contents.js';
import { root } from './root.js';

/** TypeDoc's own theme, with the site's pages in its navigation. */
export class SiteTheme extends DefaultTheme {
  override ContextClass = SiteContext;

  /** What TypeDoc's own navigation shows: the reference alone, as {@link SiteContext.navigation} has the pages. */
  override buildNavigation(project: ProjectReflection): NavigationElement[] {
    const pages = new Set(project.documents?.map((page) => this.router.getFullUrl(page)));
    return super.buildNavigation(project).filter(({ path }) => path === undefined || !pages.has(path));
  }
}

class SiteContext extends DefaultThemeRenderContext {
  constructor(...parameters: ConstructorParameters<typeof DefaultThemeRenderContext>) {
    super(...parameters);
    const usual = this.breadcrumbs;
    this.breadcrumbs = (model) => (model.isDocument() ? sectionOf(model) : usual(model));
  }

  override navigation = ({ model, project }: PageEvent<Reflection>): JSX.Element => {
    const isReference = !model.isDocument() && !model.isProject();
    return element(
      'nav',
      { class: 'tsd-navigation site-navigation', 'aria-label': 'Pages' },
      ...sectionsOf(project).map(({ title, pages }) => {
        const isOpen = model.isProject() ? FOR_NEWCOMERS.has(title) : pages.some((page) => page === model);
        return part(
          title,
          isOpen,
          element('ul', { class: 'site-pages' }, ...pages.map((page) => element('li', {}, this.#link(page, model)))),
        );
      }),
      part('Reference', isReference, element('ul', { class: 'tsd-small-nested-navigation', id: 'tsd-nav-container' })),
    );
  };

  override documentTemplate = (page: PageEvent<DocumentReflection>): JSX.Element => {
    const all = sectionsOf(page.project).flatMap(({ pages }) => pages);
    const at = all.indexOf(page.model);
    const content = raw(this.markdown(page.model.content));
    // The title need not be in the list of what is below it.
    page.pageHeadings.shift();
    return element(
      'div',
      {},
      element('div', { class: 'tsd-panel tsd-typography' }, content),
      element(
        'nav',
        { class: 'site-neighbours', 'aria-label': 'Next pages' },
        this.#neighbour('Before', all[at - 1]),
        this.#neighbour('Next', all[at + 1]),
      ),
    );
  };

  #link(page: DocumentReflection, model: Reflection): JSX.Element {
    return element(
      'a',
      { href: this.urlTo(page) || '#', ...(page === model ? { class: 'current', 'aria-current': 'page' } : {}) },
      page.name,
    );
  }

  #neighbour(word: string, page: DocumentReflection | undefined): JSX.Element | null {
    if (page === undefined) return null;
    return element(
      'a',
      { href: this.urlTo(page), class: word.toLowerCase() },
      element('small', {}, word),
      ' ',
      page.name,
    );
  }
}

/** What is unfolded on the front page; on the others it is the section that one is in. */
const FOR_NEWCOMERS: ReadonlySet<string> = new Set(['Begin', 'Guide']);

function sectionsOf(
  project: ProjectReflection,
): { readonly title: string; readonly pages: readonly DocumentReflection[] }[] {
  const byFile = new Map(
    project.documents?.map((page) => [relative(root, project.files.getReflectionPath(page) ?? ''), page]),
  );
  return SECTIONS.map(({ title, pages }) => ({
    title,
    pages: pages.flatMap((file) => byFile.get(file) ?? []),
  }));
}

function sectionOf(page: DocumentReflection): JSX.Element {
  const section = sectionsOf(page.project).find(({ pages }) => pages.includes(page));
  return element('p', { class: 'site-section' }, section?.title ?? '');
}

function part(title: string, open: boolean, list: JSX.Element): JSX.Element {
  return element('details', { open }, element('summary', {}, title), list);
}

function element(tag: string, attributes: object, ...children: JSX.Children[]): JSX.Element {
  return JSX.createElement(tag, attributes, ...children);
}

function raw(html: string): JSX.Element {
  return JSX.createElement(JSX.Raw, { html });
}
