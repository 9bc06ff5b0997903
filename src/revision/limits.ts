/** The limits of one revision. A file, folder or revision past a bound is refused with an error that names the bound. */
export type RevisionLimits = {
  /** Bytes of one file that a device gets. */
  maxFileBytes: number;
  /** Sum over the files of one bundle. */
  maxBundleBytes: number;
  maxBundleFiles: number;
  /** Files and folders in a device's folder or a layer, selected or not. */
  maxListedFiles: number;
  /** Sum over the distinct files of one revision: they are held in memory until they are stored. */
  maxRevisionBytes: number;
  /** Bytes of a JSON or YAML file that is parsed, a manifest included. */
  maxDocumentBytes: number;
  /** Bytes of one Liquid template. */
  maxTemplateBytes: number;
  /** Characters that one template may make for a device: its output, and every text on the way to it. */
  maxTemplateChars: number;
  /** Bytes of one schema file. */
  maxSchemaBytes: number;
  /** Files that one schema may reach by `$ref`. */
  maxSchemaFiles: number;
  /** Nesting of objects and arrays in a parsed file. */
  maxDocumentDepth: number;
  /** Characters that the aliases of one file repeat: each alias counts with its whole content. */
  maxYamlExpandedChars: number;
  /** Folders below folders in a device's folder. */
  maxTreeDepth: number;
  maxDeviceFolders: number;
  /** Names read on the way to the device folders: a few trees can spell out billions. */
  maxNamesOnTheWay: number;
  /** Processor time of one folder in all, for parsing large files and checking schemas: far above what honest ones take. */
  maxValidationMs: number;
  /** Processor time of one commit: for all its folders and schemas that use up their time, or come near it. */
  maxCommitValidationMs: number;
  /** Further errors of the same file are only counted. */
  maxErrorsPerFile: number;
  maxErrorsPerFolder: number;
};

const MEBIBYTE = 1024 * 1024;

export const defaultRevisionLimits: RevisionLimits = {
  maxFileBytes: 16 * MEBIBYTE,
  maxBundleBytes: 64 * MEBIBYTE,
  maxBundleFiles: 5_000,
  maxListedFiles: 20_000,
  maxRevisionBytes: 512 * MEBIBYTE,
  maxDocumentBytes: MEBIBYTE,
  maxTemplateBytes: MEBIBYTE / 4,
  maxTemplateChars: 8 * MEBIBYTE,
  maxSchemaBytes: MEBIBYTE,
  maxSchemaFiles: 64,
  maxDocumentDepth: 64,
  maxYamlExpandedChars: 4 * MEBIBYTE,
  maxTreeDepth: 32,
  maxDeviceFolders: 200_000,
  maxNamesOnTheWay: 1_000_000,
  maxValidationMs: 2_000,
  maxCommitValidationMs: 10_000,
  maxErrorsPerFile: 50,
  maxErrorsPerFolder: 500,
};
