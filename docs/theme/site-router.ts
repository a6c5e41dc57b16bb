import { relative } from 'node:path';
import { KindRouter, type PageDefinition, type ProjectReflection, type Reflection } from 'typedoc';
import { HeadingSlugger } from './heading-anchors.js';
import { root } from './root.js';

/** Gives pages the addresses that their files have, and puts the reference below api/. */
export class SiteRouter extends KindRouter {
  override buildPages(project: ProjectReflection): PageDefinition[] {
    // The front page is the project's; TypeDoc's own one would list all that the navigation has.
    const pages = super.buildPages(project).filter(({ url }) => url !== 'modules.html');
    this.fullUrls.set(project, 'index.html');
    for (const page of [project, ...(project.documents ?? [])])
      this.sluggers.set(page, new HeadingSlugger(this.sluggerConfiguration));
    return pages;
  }

  protected override getIdealBaseName(reflection: Reflection): string {
    if (!reflection.isDocument()) return `api/${super.getIdealBaseName(reflection)}`;
    const file = reflection.project.files.getReflectionPath(reflection);
    if (file === undefined) throw new Error(`${reflection.name} has no file`);
    return addressOf(relative(root, file));
  }
}

/** @returns the address without .html: that below docs/, or below project/ for what is in the top folder */
function addressOf(file: string): string {
  const below = file.startsWith('docs/') ? file.slice('docs/'.length) : file.replace(/^([^/]+)$/, 'project/$1');
  return below
    .replace(/(^|\/)README\.md$/, '$1index.md')
    .replace(/\.md$/, '')
    .toLowerCase();
}
