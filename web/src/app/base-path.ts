/** Path of the service without a slash at the end; '' at the root. The service writes it into the document's base. */
export const basePath = new URL(document.baseURI).pathname.replace(/\/+$/, '');
