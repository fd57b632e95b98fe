import tseslint from "typescript-eslint";

export default tseslint.config(...tseslint.configs.strict, {
  files: ["src/**/*.ts"],
  rules: { "@typescript-eslint/explicit-function-return-type": ["error", { allowExpressions: true }], eqeqeq: "error" },
});
